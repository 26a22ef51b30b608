{{/* What a schema can't say: which values go together. Each refusal says what to do. */}}
{{- define "chorus.checks" -}}
{{- $secret := .Values.existingSecret -}}
{{- $redis := .Values.redis -}}

{{- if and (not $secret.name) (or $secret.apiKeys $secret.redisUrl) -}}
{{- fail "existingSecret.apiKeys and existingSecret.redisUrl are names of keys in a Secret: set existingSecret.name" -}}
{{- end -}}
{{- if not (or (and $secret.name $secret.jwtSecret) .Values.auth.jwksUrl .Values.auth.publicKey) -}}
{{- fail "gateways need a key that tokens are signed with: existingSecret.name (a Secret with the key jwt-secret), auth.jwksUrl or auth.publicKey" -}}
{{- end -}}

{{- $ways := 0 -}}
{{- if $redis.url }}{{ $ways = add $ways 1 }}{{ end -}}
{{- if $secret.redisUrl }}{{ $ways = add $ways 1 }}{{ end -}}
{{- if $redis.builtin.enabled }}{{ $ways = add $ways 1 }}{{ end -}}
{{- if ne (int $ways) 1 -}}
{{- fail (printf "gateways need one Redis, and %d are given: set one of redis.url, existingSecret.redisUrl and redis.builtin.enabled" (int $ways)) -}}
{{- end -}}
{{- if regexMatch "^[a-z-]+://[^/?]*:[^/?]*@" $redis.url -}}
{{- fail "redis.url holds a password, which everybody could read in the Deployment: put the URL into a Secret (existingSecret.redisUrl)" -}}
{{- end -}}
{{- if and $redis.tls.existingSecret $redis.url (not (hasPrefix "rediss" $redis.url)) -}}
{{- fail "redis.tls is for a redis.url that begins with rediss: without it there is no TLS" -}}
{{- end -}}
{{- if and $redis.tls.existingSecret $redis.builtin.enabled -}}
{{- fail "redis.builtin does not speak TLS: leave redis.tls.existingSecret empty, or use a Redis of your own" -}}
{{- end -}}
{{- if ne (empty $redis.tls.cert) (empty $redis.tls.key) -}}
{{- fail "redis.tls.cert and redis.tls.key go together: name both, or neither" -}}
{{- end -}}

{{- $own := dict
    "listen" "service" "metrics_listen" "metrics.port" "node" "nothing: it is the pod's name" "redis_url" "redis.url"
    "drain_seconds" "drainSeconds" "trusted_proxies" "trustedProxies" "allowed_origins" "allowedOrigins"
    "log" "log.level" "log_format" "log.format" "jwks_url" "auth.jwksUrl" "jwt_public_key" "auth.publicKey"
    "issuer" "auth.issuer" "audience" "auth.audience" "jwt_secret" "existingSecret.jwtSecret"
    "api_keys" "existingSecret.apiKeys" "certificate" "tls.secretName" "key" "tls.secretName" "tls_ca" "redis.tls" "tls_cert" "redis.tls" "tls_key" "redis.tls" -}}
{{- range $key, $value := $own -}}
{{- /* Plain, with its section in front, in an inline table, in quotes: TOML has all of these. */ -}}
{{- if regexMatch (printf "(?m)(^|[.{,])\\s*[\"']?%s[\"']?\\s*=" $key) $.Values.config -}}
{{- fail (printf "config sets %s, which the chart sets itself: use %s" $key $value) -}}
{{- end -}}
{{- end -}}
{{- $names := list "CHORUS_CONFIG" -}}
{{- range (include "chorus.env" . | fromYamlArray) }}{{ $names = append $names .name }}{{ end -}}
{{- range .Values.extraEnv -}}
{{- if has .name $names -}}
{{- fail (printf "extraEnv sets %s, which the chart sets itself: use its own value (README.md)" .name) -}}
{{- end -}}
{{- end -}}

{{- if and .Values.ingress.enabled (not .Values.trustedProxies) -}}
{{- fail "ingress.enabled needs trustedProxies, the networks of the ingress controller's pods: without them all clients count as one address" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress.enabled needs ingress.hosts, the names that clients connect to" -}}
{{- end -}}
{{- if and (ne .Values.ingress.affinity "none") (eq .Values.ingress.controller "none") -}}
{{- fail "ingress.affinity is done by annotations, which differ: set ingress.controller to nginx or traefik" -}}
{{- end -}}
{{- if and (eq .Values.ingress.affinity "ip-hash") (ne .Values.ingress.controller "nginx") -}}
{{- fail "ingress.affinity ip-hash is there with ingress.controller nginx only: use cookie, or none" -}}
{{- end -}}

{{- with .Values.autoscaling -}}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) -}}
{{- fail (printf "autoscaling.minReplicas (%d) is more than autoscaling.maxReplicas (%d)" (int .minReplicas) (int .maxReplicas)) -}}
{{- end -}}
{{- if and .enabled (lt (int .scaleDownPeriodSeconds) (int (include "chorus.grace" $))) -}}
{{- fail (printf "autoscaling.scaleDownPeriodSeconds is %d, and a pod's end may take %s: the next would go before it has gone" (int .scaleDownPeriodSeconds) (include "chorus.grace" $)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
