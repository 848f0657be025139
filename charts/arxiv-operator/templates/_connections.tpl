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

{{/* Its environment variables. Argument: root, name. */}}
{{- define "arxiv-operator.connectionEnv" -}}
{{- $connection := include "arxiv-operator.connection" . | fromYaml }}
{{- $prefix := get (include "arxiv-operator.connectionPrefixes" . | fromYaml) .name }}
{{- $where := printf "postgres.connections.%s" .name }}
{{- if $connection.secret }}
{{- range $part := list "url" "host" "port" "database" "user" "password" }}
{{- $variable := printf "%s_%s" $prefix (eq $part "database" | ternary "NAME" (upper $part)) }}
{{- if hasKey $connection.keys $part }}
- name: {{ $variable }}
  valueFrom:
    secretKeyRef: {name: {{ $connection.secret | quote }}, key: {{ get $connection.keys $part | quote }}}
{{- else if and (ne $part "url") (ne $part "password") (not (hasKey $connection.keys "url")) }}
- name: {{ $variable }}
  value: {{ required (printf "%s: %s is neither given nor one of its keys" $where $part) (get $connection $part) | toString | quote }}
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
