{{/* Passwords for users that do not exist yet. In mode cnpg CloudNativePG makes the users. */}}

{{/* The Secret and key of each user's password, by the user. Argument: the root. */}}
{{- define "arxiv-operator.rolePasswords" -}}
{{- $of := dict "arxiv_rw" "readWrite" "arxiv_ro" "readOnly" "arxiv_sequence" "sequence" "arxiv_operator" "ledger" "arxiv_upstream" "upstream" }}
{{- if eq .Values.postgres.mode "external" }}
{{- range $role, $name := $of }}
{{- $connection := include "arxiv-operator.connection" (dict "root" $ "name" $name) | fromYaml }}
{{- if $.Values.migrations.rolePasswords.secret }}
{{ $role }}: {{ toJson (dict "secret" $.Values.migrations.rolePasswords.secret "key" (get $.Values.migrations.rolePasswords.keys $role)) }}
{{- else if $connection.keys.password }}
{{ $role }}: {{ toJson (dict "secret" $connection.secret "key" $connection.keys.password) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* The variables with their files. Argument: the root. */}}
{{- define "arxiv-operator.rolePasswordsEnv" -}}
{{- range $role, $source := include "arxiv-operator.rolePasswords" . | fromYaml }}
- name: {{ upper $role }}_PASSWORD_FILE
  value: {{ printf "%s/roles/%s" (include "arxiv-operator.databasesFolder" $) $role }}
{{- end }}
{{- end }}

{{/* The sources of these files, for a projected volume. Argument: the root. */}}
{{- define "arxiv-operator.rolePasswordFiles" -}}
{{- range $role, $source := include "arxiv-operator.rolePasswords" . | fromYaml }}
- secret: {{ toJson (dict "name" $source.secret "items" (list (dict "key" $source.key "path" (printf "roles/%s" $role)))) }}
{{- end }}
{{- end }}
