{{/* `rules`: path, type (Prefix or Exact), methods (none: all of them) and service for every routed path, in order. */}}
{{- define "arxiv-operator.routes" -}}
{{- $rules := list }}
{{- $fullname := include "arxiv-operator.fullname" . }}
{{- $root := trimSuffix "/" .Values.apiServer.settings.rootPath }}
{{- if and .Values.routes.pages (eq .Values.apiServer.mode "perEndpoint") }}
{{- fail "routes.pages: in mode perEndpoint no process has the pages of all endpoints" }}
{{- end }}
{{- range $group := (include "arxiv-operator.groups" . | fromYaml).groups }}
{{- $service := dict "name" (printf "%s-%s" $fullname .name) "port" .settings.service.port }}
{{- $paths := list }}
{{- range $name := .endpoints }}
{{- $endpoint := get (include "arxiv-operator.endpoints" $ | fromYaml) $name }}
{{- range $path := concat (list $endpoint.path) ($endpoint.also | default list) }}
{{- if and (has $endpoint.serve $.Values.routes.endpoints) (not (has $path $paths)) }}
{{- $paths = append $paths $path }}
{{- /* Methods matter only where they lead to different Services. */}}
{{- $methods := eq (len $group.endpoints) 1 | ternary ($endpoint.methods | default list) list }}
{{- $rules = append $rules (dict "path" (printf "%s%s" $root $path) "type" "Prefix" "methods" $methods "service" $service "streams" (has $path (list "/arxiv" "/feeds")) "exports" (and (has $path (list "/arxiv" "/queries" "/results")) (ne $name "queries-post"))) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and $.Values.routes.pages (has "arxiv" .endpoints) }}
{{- range $path := list (empty $root | ternary "/" "") "/docs" "/redoc" "/openapi.json" }}
{{- $rules = append $rules (dict "path" (printf "%s%s" $root $path) "type" "Exact" "methods" list "service" $service) }}
{{- end }}
{{- $rules = append $rules (dict "path" (printf "%s/assets" $root) "type" "Prefix" "methods" list "service" $service) }}
{{- end }}
{{- end }}
{{- toYaml (dict "rules" $rules) }}
{{- end }}

{{/* A Service as the HTTPRoute's backend. Argument: a dict with its name and port. */}}
{{- define "arxiv-operator.backendRef" -}}
{{- dict "group" "" "kind" "Service" "name" .name "port" (int .port) "weight" 1 | toJson }}
{{- end }}
