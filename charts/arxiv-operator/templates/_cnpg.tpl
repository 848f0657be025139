{{/* What is known of the servers that CloudNativePG makes. */}}

{{- define "arxiv-operator.cnpgName" -}}
{{- printf "%s-%s" (include "arxiv-operator.fullname" .root) .server }}
{{- end }}

{{/* The Secret with a user's password. Argument: root, role. */}}
{{- define "arxiv-operator.roleSecret" -}}
{{- get .root.Values.postgres.cnpg.roleSecrets .role | default (printf "%s-%s" (include "arxiv-operator.fullname" .root) (replace "_" "-" .role)) }}
{{- end }}

{{/* One connection. The owners' Secrets are made by CloudNativePG ("-app"). Argument: root, name. */}}
{{- define "arxiv-operator.cnpgConnection" -}}
{{- $roles := dict "readWrite" "arxiv_rw" "readOnly" "arxiv_ro" "ledger" "arxiv_operator" "sequence" "arxiv_sequence" "upstream" "arxiv_upstream" }}
{{- $server := has .name (list "readWrite" "readOnly" "owner") | ternary "data" "sequence" }}
{{- $cluster := include "arxiv-operator.cnpgName" (dict "root" .root "server" $server) }}
{{- if has .name (list "owner" "sequenceOwner") }}
secret: {{ printf "%s-app" $cluster | quote }}
keys: {host: host, port: port, database: dbname, user: username, password: password}
{{- include "arxiv-operator.cnpgTls" (dict "root" .root "server" $server "cluster" $cluster) }}
{{- else }}
secret: {{ include "arxiv-operator.roleSecret" (dict "root" .root "role" (get $roles .name)) | quote }}
keys: {user: username, password: password}
port: 5432
{{- $pooled := and (eq .name "readOnly") .root.Values.postgres.cnpg.readPooler.enabled }}
{{- include "arxiv-operator.cnpgTls" (dict "root" .root "server" $server "cluster" $cluster "pooled" $pooled) }}
{{- if ne .name "readOnly" }}
host: {{ $cluster }}-rw
{{- else if .root.Values.postgres.cnpg.readPooler.enabled }}
host: {{ $cluster }}-read-pooler
{{- else }}
host: {{ $cluster }}-{{ gt (int .root.Values.postgres.cnpg.data.instances) 1 | ternary "ro" "r" }}
{{- end }}
{{- end }}
{{- end }}

{{/* CloudNativePG's CA of a server, unless there is another one or no verification. A pooler shows the server's certificate, which does not have its name. Argument: root, server, cluster, pooled. */}}
{{- define "arxiv-operator.cnpgTls" -}}
{{- with .root.Values.postgres.tls }}
{{- if not (or .rootCert.secret .rootCert.configMap (has .mode (list "disable" "allow" "prefer" "require"))) }}
rootCert: {secret: {{ dig "certificates" "serverCASecret" (printf "%s-ca" $.cluster) (get $.root.Values.postgres.cnpg $.server).spec }}, key: ca.crt}
{{- if $.pooled }}
tlsMode: verify-ca
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Whether a transaction pooler is before the reads. */}}
{{- define "arxiv-operator.readPooler" -}}
{{- with .Values.postgres }}{{ and (eq .mode "cnpg") .cnpg.readPooler.enabled | ternary "true" "" }}{{ end }}
{{- end }}
