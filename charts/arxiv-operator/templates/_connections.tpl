{{/* Where a process finds its databases, and with which credential: it gets the variables of what it uses and no other. */}}

{{/* The prefix of each connection's variables. */}}
{{- define "arxiv-operator.connectionPrefixes" -}}
readWrite: DATABASE_RW
queriesReadWrite: DATABASE_QUERIES_RW
resultsReadWrite: DATABASE_RESULTS_RW
readOnly: DATABASE_RO
queriesReadOnly: DATABASE_QUERIES_RO
resultsReadOnly: DATABASE_RESULTS_RO
ledger: DATABASE_LEDGER
sequence: DATABASE_SEQUENCE
upstream: DATABASE_UPSTREAM
owner: DATABASE_OWNER
sequenceOwner: DATABASE_SEQUENCE_OWNER
queriesOwner: DATABASE_QUERIES_OWNER
resultsOwner: DATABASE_RESULTS_OWNER
upstreamOwner: DATABASE_UPSTREAM_OWNER
{{- end }}

{{/* What the values say of a connection; in mode cnpg over what is known there. Argument: root, name. */}}
{{- define "arxiv-operator.connection" -}}
{{- $connection := deepCopy (get .root.Values.postgres.connections .name) }}
{{- $optional := or (hasPrefix "queries" .name) (hasPrefix "results" .name) (eq .name "upstreamOwner") }}
{{- if not (or $optional $connection.secret) }}
{{- if and (eq .root.Values.postgres.mode "cnpg") (not $connection.keys) }}
{{- $known := include "arxiv-operator.cnpgConnection" . | fromYaml }}
{{- with $connection.host }}{{ $_ := set $known "host" . }}{{ end }}
{{- $connection = mergeOverwrite $connection $known }}
{{- else }}
{{- $_ := set $connection "secret" (printf "%s-postgres" (include "arxiv-operator.fullname" .root)) }}
{{- end }}
{{- end }}
{{- if not $connection.keys }}{{ $_ := set $connection "keys" (dict "url" .name) }}{{ end }}
{{- toYaml $connection }}
{{- end }}

{{/* Where the files with the settings of connections are. */}}
{{- define "arxiv-operator.databasesFolder" -}}
/etc/arxiv-operator/databases
{{- end }}

{{/* Its environment variables: what is in a Secret is a file, which the kubelet updates and the programs read for each new connection. Argument: root, name. */}}
{{- define "arxiv-operator.connectionEnv" -}}
{{- $connection := include "arxiv-operator.connection" . | fromYaml }}
{{- $prefix := get (include "arxiv-operator.connectionPrefixes" . | fromYaml) .name }}
{{- $where := printf "postgres.connections.%s" .name }}
{{- $folder := printf "%s/%s" (include "arxiv-operator.databasesFolder" .) .name }}
{{- if $connection.secret }}
{{- range $part := list "url" "host" "port" "database" "user" "password" }}
{{- $variable := printf "%s_%s" $prefix (eq $part "database" | ternary "NAME" (upper $part)) }}
{{- if hasKey $connection.keys $part }}
- name: {{ $variable }}_FILE
  value: {{ printf "%s/%s" $folder $part }}
{{- else if and (ne $part "url") (ne $part "password") (not (hasKey $connection.keys "url")) }}
- name: {{ $variable }}
  value: {{ required (printf "%s: %s is neither given nor one of its keys" $where $part) (get $connection $part) | toString | quote }}
{{- end }}
{{- end }}
{{- if or ($connection.rootCert).secret ($connection.rootCert).configMap }}
- name: {{ $prefix }}_CA_FILE
  value: {{ $folder }}/ca.crt
{{- with $connection.tlsMode }}
- name: {{ $prefix }}_SSLMODE
  value: {{ . }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* The sources of its files, for a projected volume. Argument: root, name. */}}
{{- define "arxiv-operator.connectionFiles" -}}
{{- $connection := include "arxiv-operator.connection" . | fromYaml }}
{{- $folder := .name }}
{{- if $connection.secret }}
{{- $items := list }}
{{- range $part := list "url" "host" "port" "database" "user" "password" }}
{{- if hasKey $connection.keys $part }}
{{- $items = append $items (dict "key" (get $connection.keys $part) "path" (printf "%s/%s" $folder $part)) }}
{{- end }}
{{- end }}
{{- if $items }}
- secret: {{ toJson (dict "name" $connection.secret "items" $items) }}
{{- end }}
{{- with $connection.rootCert }}
{{- if and .secret .configMap }}{{ fail "certificates come from a Secret or a ConfigMap, not both" }}{{ end }}
{{- $items := list (dict "key" (.key | default "ca.crt") "path" (printf "%s/ca.crt" $folder)) }}
{{- if .secret }}
- secret: {{ toJson (dict "name" .secret "items" $items) }}
{{- else if .configMap }}
- configMap: {{ toJson (dict "name" .configMap "items" $items) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* The variables of several. Argument: root, names. */}}
{{- define "arxiv-operator.connectionsEnv" -}}
{{- range .names }}
{{- include "arxiv-operator.connectionEnv" (dict "root" $.root "name" .) }}
{{- end }}
{{- end }}

{{/* The connections behind each store that an endpoint uses. */}}
{{- define "arxiv-operator.storeConnections" -}}
readOnly: [readOnly, queriesReadOnly, resultsReadOnly]
readWrite: [readWrite, queriesReadWrite, resultsReadWrite]
sequence: [sequence]
upstream: [upstream]
{{- end }}
