{{/* Passwords for users that do not exist yet. In mode cnpg CloudNativePG makes the users. Argument: the root. */}}
{{- define "arxiv-operator.rolePasswordsEnv" -}}
{{- $of := dict "arxiv_rw" "readWrite" "arxiv_ro" "readOnly" "arxiv_sequence" "sequence" "arxiv_operator" "ledger" "arxiv_upstream" "upstream" }}
{{- range $role, $name := $of }}
{{- $connection := include "arxiv-operator.connection" (dict "root" $ "name" $name) | fromYaml }}
{{- $reference := dict }}
{{- if $.Values.migrations.rolePasswords.secret }}
{{- $reference = dict "name" $.Values.migrations.rolePasswords.secret "key" (get $.Values.migrations.rolePasswords.keys $role) }}
{{- else if $connection.keys.password }}
{{- $reference = dict "name" $connection.secret "key" $connection.keys.password }}
{{- end }}
{{- if and $reference (eq $.Values.postgres.mode "external") }}
- name: {{ upper $role }}_PASSWORD
  valueFrom:
    secretKeyRef: {{ toJson $reference }}
{{- end }}
{{- end }}
{{- end }}
