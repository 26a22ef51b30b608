{{- define "chorus.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* Room is left for "-redis" and what the StatefulSet adds to it. */}}
{{- define "chorus.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := printf "%s-%s" .Release.Name $name -}}
{{- if contains $name .Release.Name }}{{ $full = .Release.Name }}{{ end -}}
{{- default $full .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "chorus.selector" -}}
app.kubernetes.io/name: {{ include "chorus.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* A gateway's labels by which it is found; Redis' differ in the component. */}}
{{- define "chorus.gateway" -}}
{{ include "chorus.selector" . }}
app.kubernetes.io/component: gateway
{{- end -}}

{{- define "chorus.redis" -}}
{{ include "chorus.selector" . }}
app.kubernetes.io/component: redis
{{- end -}}

{{- define "chorus.labels" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "chorus.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{- define "chorus.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "chorus.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{ default "default" .Values.serviceAccount.name }}
{{- end -}}
{{- end -}}

{{/* A second for the exit, and some for a kubelet that is late. */}}
{{- define "chorus.grace" -}}
{{- $least := add .Values.preStopSeconds .Values.drainSeconds 5 | int -}}
{{- if kindIs "invalid" .Values.terminationGracePeriodSeconds -}}
{{ $least }}
{{- else if lt (int .Values.terminationGracePeriodSeconds) $least -}}
{{- fail (printf "terminationGracePeriodSeconds is %d, and preStopSeconds + drainSeconds + 5 are %d: pods would be killed in the middle of their drain" (int .Values.terminationGracePeriodSeconds) $least) -}}
{{- else -}}
{{ int .Values.terminationGracePeriodSeconds }}
{{- end -}}
{{- end -}}

{{/* What the gateway's file holds. The PEM of auth.publicKey lies beside it. */}}
{{- define "chorus.config" -}}
# Written by the chart; the environment goes over it.
{{ .Values.config }}
{{- end -}}
