{{/* A CloudNativePG Cluster. Argument: root, server (data or sequence), database, owner, roles. */}}
{{- define "arxiv-operator.cluster" -}}
{{- $values := get .root.Values.postgres.cnpg .server }}
{{- /* With all defaults of the definition, so that GitOps tools see no difference; `spec` of the values replaces any. */}}
{{- $slots := dict "highAvailability" (dict "enabled" true "slotPrefix" "_cnpg_") "updateInterval" 30 }}
{{- $spec := dict "instances" $values.instances "resources" $values.resources "enableSuperuserAccess" false
      "enablePDB" true "logLevel" "info" "postgresUID" 26 "postgresGID" 26
      "primaryUpdateMethod" "restart" "primaryUpdateStrategy" "unsupervised" "replicationSlots" $slots
      "startDelay" 3600 "stopDelay" 1800 "smartShutdownTimeout" 180 "switchoverDelay" 3600 "failoverDelay" 0
      "minSyncReplicas" 0 "maxSyncReplicas" 0 }}
{{- with $values.imageName }}{{ $_ := set $spec "imageName" . }}{{ end }}
{{- $storage := dict "size" $values.storage.size "resizeInUseVolumes" true }}
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
{{- $roles = append $roles (dict "name" . "ensure" "present" "login" true "inherit" true "connectionLimit" -1 "passwordSecret" (dict "name" $secret)) }}
{{- end }}
{{- $_ := set $spec "managed" (dict "roles" $roles) }}
apiVersion: postgresql.cnpg.io/v1
kind: Cluster
metadata:
  {{- include "arxiv-operator.metadata" (dict "root" .root "component" "postgres" "name" (include "arxiv-operator.cnpgName" .) "annotations" (dict "helm.sh/resource-policy" "keep")) | nindent 2 }}
spec:
  {{- mergeOverwrite $spec (deepCopy $values.spec) | toYaml | nindent 2 }}
{{- end }}
