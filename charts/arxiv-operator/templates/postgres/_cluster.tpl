{{/* A CloudNativePG Cluster. Argument: root, server (data or sequence), database, owner, roles. */}}
{{- define "arxiv-operator.cluster" -}}
{{- $values := get .root.Values.postgres.cnpg .server }}
{{- $spec := dict "instances" $values.instances "resources" $values.resources "enableSuperuserAccess" false }}
{{- with $values.imageName }}{{ $_ := set $spec "imageName" . }}{{ end }}
{{- $storage := dict "size" $values.storage.size }}
{{- with $values.storage.storageClass }}{{ $_ := set $storage "storageClass" . }}{{ end }}
{{- $_ := set $spec "storage" $storage }}
{{- $_ := set $spec "bootstrap" (dict "initdb" (dict "database" .database "owner" .owner)) }}
{{- $postgresql := dict }}
{{- with $values.parameters }}{{ $_ := set $postgresql "parameters" . }}{{ end }}
{{- if and $values.synchronous (gt (int $values.instances) 1) }}{{ $_ := set $postgresql "synchronous" $values.synchronous }}{{ end }}
{{- with $postgresql }}{{ $_ := set $spec "postgresql" . }}{{ end }}
{{- $roles := list }}
{{- range .roles }}
{{- $secret := include "arxiv-operator.roleSecret" (dict "root" $.root "role" .) }}
{{- $roles = append $roles (dict "name" . "ensure" "present" "login" true "passwordSecret" (dict "name" $secret)) }}
{{- end }}
{{- $_ := set $spec "managed" (dict "roles" $roles) }}
apiVersion: postgresql.cnpg.io/v1
kind: Cluster
metadata:
  {{- include "arxiv-operator.metadata" (dict "root" .root "component" "postgres" "name" (include "arxiv-operator.cnpgName" .) "annotations" (dict "helm.sh/resource-policy" "keep")) | nindent 2 }}
spec:
  {{- mergeOverwrite $spec (deepCopy $values.spec) | toYaml | nindent 2 }}
{{- end }}
