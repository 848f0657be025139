{{/* `rules`: path, methods (none: all of them) and service for every routed endpoint, in order. */}}
{{- define "arxiv-operator.routes" -}}
{{- $rules := list }}
{{- $fullname := include "arxiv-operator.fullname" . }}
{{- range $group := (include "arxiv-operator.groups" . | fromYaml).groups }}
{{- $service := dict "name" (printf "%s-%s" $fullname .name) "port" .settings.service.port }}
{{- $paths := list }}
{{- range $name := .endpoints }}
{{- $endpoint := get (include "arxiv-operator.endpoints" $ | fromYaml) $name }}
{{- if and (has $endpoint.serve $.Values.routes.endpoints) (not (has $endpoint.path $paths)) }}
{{- $paths = append $paths $endpoint.path }}
{{- /* Methods matter only where they lead to different Services. */}}
{{- $methods := eq (len $group.endpoints) 1 | ternary ($endpoint.methods | default list) list }}
{{- $rules = append $rules (dict "path" $endpoint.path "methods" $methods "service" $service) }}
{{- end }}
{{- end }}
{{- end }}
{{- toYaml (dict "rules" $rules) }}
{{- end }}
