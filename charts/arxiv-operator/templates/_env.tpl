{{/* Environment variables, as YAML lists. The names are those of the programs' `--help`. */}}

{{/* Plain ones. Argument: a dict of name → value; empty values are left out (the programs take them as not set). */}}
{{- define "arxiv-operator.env" -}}
{{- range $name, $value := . }}
{{- if not (or (kindIs "invalid" $value) (eq (toString $value) "")) }}
- name: {{ $name | quote }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* A number without Helm's floating point (1e+06). */}}
{{- define "arxiv-operator.integer" -}}
{{- int64 . }}
{{- end }}

{{/* Of processes that ask arXiv. Argument: the root. */}}
{{- define "arxiv-operator.arxivEnv" -}}
{{- with .Values.arxiv }}
{{- include "arxiv-operator.env" (dict
      "ARXIV_API_URL" .apiUrl
      "ARXIV_CONTACT" .contact
      "ARXIV_PROXY" .proxy.url
      "ARXIV_TIMEOUT_MS" (include "arxiv-operator.integer" .timeoutMilliseconds)
      "COOLDOWN_BASE_MS" (include "arxiv-operator.integer" .cooldownBaseMilliseconds)
      "MIN_INTERVAL_MS" (include "arxiv-operator.integer" .minIntervalMilliseconds)) }}
{{- if .proxy.secret }}
{{- if .proxy.url }}{{ fail "arxiv.proxy: url or secret, not both" }}{{ end }}
- name: ARXIV_PROXY
  valueFrom:
    secretKeyRef: {name: {{ .proxy.secret | quote }}, key: {{ .proxy.key | quote }}}
{{- end }}
{{- if or .caBundle.configMap .caBundle.secret }}
- name: ARXIV_CA_BUNDLE
  value: /etc/arxiv-operator/arxiv-ca/ca.crt
{{- end }}
{{- end }}
{{- end }}

{{/* Of processes that talk to Postgres. Argument: the root. */}}
{{- define "arxiv-operator.tlsEnv" -}}
{{- with .Values.postgres }}
{{- include "arxiv-operator.env" (dict "DATABASE_SSLMODE" .tls.mode) }}
{{- if or .tls.rootCert.secret .tls.rootCert.configMap }}
- name: DATABASE_CA_FILE
  value: /etc/arxiv-operator/postgres-ca/ca.crt
{{- end }}
{{- end }}
{{- end }}

{{/* Certificates and credentials as files. Argument: root, arxiv (whether the process asks arXiv), webhooks (whether it sends to webhooks), connections (names), roles (whether it makes users), tls (name of the Secret with its own certificate, optional). Gives `volumes` and `mounts`. */}}
{{- define "arxiv-operator.files" -}}
{{- $sources := dict "postgres-ca" .root.Values.postgres.tls.rootCert }}
{{- if .arxiv }}{{ $_ := set $sources "arxiv-ca" .root.Values.arxiv.caBundle }}{{ end }}
{{- if .webhooks }}{{ $_ := set $sources "webhooks-ca" .root.Values.operator.webhooks.caBundle }}{{ end }}
{{- $volumes := list }}
{{- $mounts := list }}
{{- range $name, $source := $sources }}
{{- $items := list (dict "key" $source.key "path" "ca.crt") }}
{{- if and $source.secret $source.configMap }}{{ fail "certificates come from a Secret or a ConfigMap, not both" }}{{ end }}
{{- if $source.secret }}
{{- $volumes = append $volumes (dict "name" $name "secret" (dict "secretName" $source.secret "items" $items)) }}
{{- else if $source.configMap }}
{{- $volumes = append $volumes (dict "name" $name "configMap" (dict "name" $source.configMap "items" $items)) }}
{{- end }}
{{- if or $source.secret $source.configMap }}
{{- $mounts = append $mounts (dict "name" $name "mountPath" (printf "/etc/arxiv-operator/%s" $name) "readOnly" true) }}
{{- end }}
{{- end }}
{{- $credentials := list }}
{{- range .connections }}
{{- $credentials = concat $credentials (include "arxiv-operator.connectionFiles" (dict "root" $.root "name" .) | fromYamlArray) }}
{{- end }}
{{- if .roles }}
{{- $credentials = concat $credentials (include "arxiv-operator.rolePasswordFiles" .root | fromYamlArray) }}
{{- end }}
{{- if $credentials }}
{{- $volumes = append $volumes (dict "name" "databases" "projected" (dict "sources" $credentials)) }}
{{- $mounts = append $mounts (dict "name" "databases" "mountPath" (include "arxiv-operator.databasesFolder" .) "readOnly" true) }}
{{- end }}
{{- with .tls }}
{{- $volumes = append $volumes (dict "name" "tls" "secret" (dict "secretName" .)) }}
{{- $mounts = append $mounts (dict "name" "tls" "mountPath" "/etc/arxiv-operator/tls" "readOnly" true) }}
{{- end }}
{{- toYaml (dict "volumes" $volumes "mounts" $mounts) }}
{{- end }}

{{/* PRIORITY_CEILINGS of the operator and of the API server, which computes positions by it. */}}
{{- define "arxiv-operator.priorityCeilings" -}}
{{- $pairs := list }}
{{- range $namespace, $ceiling := .Values.operator.priorityCeilings }}
{{- $pairs = append $pairs (printf "%s=%s" $namespace (include "arxiv-operator.integer" $ceiling)) }}
{{- end }}
{{- join "," $pairs }}
{{- end }}
