{{/* The gateway's environment, as a list. Whatever an empty value stands for is left out. */}}
{{- define "chorus.env" -}}
{{- $secret := .Values.existingSecret -}}
{{- $plain := dict
    "CHORUS_LISTEN" "0.0.0.0:8080"
    "CHORUS_METRICS_LISTEN" (printf "0.0.0.0:%d" (int .Values.metrics.port))
    "CHORUS_DRAIN_SECONDS" (printf "%d" (int .Values.drainSeconds))
    "CHORUS_LOG" .Values.log.level
    "CHORUS_LOG_FORMAT" .Values.log.format
    "CHORUS_TRUSTED_PROXIES" (join "," .Values.trustedProxies)
    "CHORUS_ALLOWED_ORIGINS" (join "," .Values.allowedOrigins)
    "CHORUS_REDIS_URL" .Values.redis.url
    "CHORUS_JWKS_URL" .Values.auth.jwksUrl
    "CHORUS_AUTH_ISSUER" .Values.auth.issuer
    "CHORUS_AUTH_AUDIENCE" .Values.auth.audience -}}
{{- if .Values.redis.builtin.enabled -}}
{{- $_ := set $plain "CHORUS_REDIS_URL" (printf "redis://%s-redis:6379" (include "chorus.fullname" .)) -}}
{{- end -}}
{{- if .Values.auth.publicKey -}}
{{- $_ := set $plain "CHORUS_JWT_PUBLIC_KEY" "/etc/chorus/public-key.pem" -}}
{{- end -}}
{{- if .Values.tls.secretName -}}
{{- $_ := set $plain "CHORUS_TLS_CERTIFICATE" "/etc/chorus-tls/tls.crt" -}}
{{- $_ := set $plain "CHORUS_TLS_KEY" "/etc/chorus-tls/tls.key" -}}
{{- end -}}
{{- with .Values.redis.tls -}}
{{- if .existingSecret -}}
{{- if .ca }}{{ $_ := set $plain "CHORUS_REDIS_TLS_CA" (printf "/etc/chorus-redis-tls/%s" .ca) }}{{ end -}}
{{- if .cert }}{{ $_ := set $plain "CHORUS_REDIS_TLS_CERT" (printf "/etc/chorus-redis-tls/%s" .cert) }}{{ end -}}
{{- if .key }}{{ $_ := set $plain "CHORUS_REDIS_TLS_KEY" (printf "/etc/chorus-redis-tls/%s" .key) }}{{ end -}}
{{- end -}}
{{- end -}}
- name: CHORUS_CONFIG
  value: /etc/chorus/chorus.toml
# Pods' names are unique at any time, and say in logs and metrics which it was.
- name: CHORUS_NODE
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
{{- range $name, $value := $plain }}
{{- if $value }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
{{- if $secret.name }}
{{- range $name, $key := dict "CHORUS_JWT_SECRET" $secret.jwtSecret "CHORUS_API_KEYS" $secret.apiKeys "CHORUS_REDIS_URL" $secret.redisUrl }}
{{- if $key }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      name: {{ $secret.name }}
      key: {{ $key }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
