{{/* The API server's Deployments ("groups") by mode, and what each serves. */}}

{{/* The ten endpoints: path, further paths, methods where a path is two endpoints, SERVE's name for it, the stores it uses, whether it makes objects in Kubernetes, whether it talks to arXiv. */}}
{{- define "arxiv-operator.endpoints" -}}
arxiv: {path: /arxiv, serve: arxiv, stores: [readOnly], kubernetes: true}
queries: {path: /queries, methods: [GET, HEAD], serve: queries, stores: [readOnly]}
queries-post: {path: /queries, methods: [POST], serve: queries, stores: [readOnly]}
results: {path: /results, also: [/papers, /feeds], serve: results, stores: [readOnly]}
arxiv-api: {path: /arxiv-api, serve: arxiv-api, stores: [upstream], arxiv: true}
get-sequence: {path: /get-sequence, serve: get-sequence, stores: [sequence]}
read-queries: {path: /read-queries, serve: read-queries, stores: [readOnly]}
read-results: {path: /read-results, serve: read-results, stores: [readOnly]}
write-queries: {path: /write-queries, serve: write-queries, stores: [readWrite]}
write-results: {path: /write-results, serve: write-results, stores: [readWrite]}
{{- end }}

{{/* Which endpoints ask for tokens: off, backend or all. YAML takes off without quotes for false. */}}
{{- define "arxiv-operator.access" -}}
{{- .Values.apiServer.access.endpoints | default "off" }}
{{- end }}

{{/* `groups`: a list of name, serve, endpoints (names), stores, kubernetes (makes objects there), guarded (asks there who calls), arxiv, settings (apiServer with the component's overrides), account (the ServiceAccount's name), pods (the most at once). */}}
{{- define "arxiv-operator.groups" -}}
{{- $endpoints := include "arxiv-operator.endpoints" . | fromYaml }}
{{- $names := list "arxiv" "queries" "queries-post" "results" "arxiv-api" "get-sequence" "read-queries" "read-results" "write-queries" "write-results" }}
{{- $frontend := slice $names 0 4 }}
{{- $backend := slice $names 4 }}
{{- $plan := list }}
{{- if eq .Values.apiServer.mode "together" }}
{{- $plan = list (dict "name" "api" "serve" "all" "endpoints" $names) }}
{{- else if eq .Values.apiServer.mode "frontendBackend" }}
{{- $plan = list (dict "name" "frontend" "serve" "frontend" "endpoints" $frontend) (dict "name" "backend" "serve" "backend" "endpoints" $backend) }}
{{- else }}
{{- range $names }}
{{- $plan = append $plan (dict "name" . "serve" (get (get $endpoints .) "serve") "endpoints" (list .)) }}
{{- end }}
{{- end }}
{{- $groups := list }}
{{- if .Values.apiServer.enabled }}
{{- range $group := $plan }}
{{- $stores := list }}
{{- $access := include "arxiv-operator.access" $ }}
{{- $_ := set . "kubernetes" false }}
{{- $_ := set . "arxiv" false }}
{{- $_ := set . "guarded" (eq $access "all") }}
{{- range .endpoints }}
{{- $endpoint := get $endpoints . }}
{{- $stores = concat $stores $endpoint.stores | uniq }}
{{- if $endpoint.kubernetes }}{{ $_ := set $group "kubernetes" true }}{{ end }}
{{- if $endpoint.arxiv }}{{ $_ := set $group "arxiv" true }}{{ end }}
{{- /* The removal of a query that somebody else made takes a right in Kubernetes. */}}
{{- if and (or (has . $backend) $endpoint.kubernetes) (ne $access "off") }}{{ $_ := set $group "guarded" true }}{{ end }}
{{- end }}
{{- $override := get $.Values.apiServer.components .name | default dict }}
{{- $settings := mergeOverwrite (deepCopy (omit $.Values.apiServer "pod" "components")) (deepCopy (omit $override "pod")) }}
{{- $scaled := or $settings.autoscaling.enabled (kindIs "invalid" $settings.replicas) }}
{{- $pods := $scaled | ternary $settings.autoscaling.maxReplicas $settings.replicas | int }}
{{- $surge := toString $settings.rollingUpdate.maxSurge }}
{{- if hasSuffix "%" $surge }}
{{- $surge = div (add (mul $pods (trimSuffix "%" $surge | int)) 99) 100 }}
{{- end }}
{{- $account := include "arxiv-operator.account" (dict "settings" $settings.serviceAccount "name" (printf "%s-%s" (include "arxiv-operator.fullname" $) .name)) }}
{{- $groups = append $groups (merge (dict "account" $account "stores" $stores "settings" $settings "override" $override "pods" (add $pods (int $surge))) $group) }}
{{- end }}
{{- end }}
{{- toYaml (dict "groups" $groups) }}
{{- end }}

{{/* DATABASE_MAX_CONNECTIONS of a group: the least share that its stores leave to one of its pods. Argument: root, group, groups. */}}
{{- define "arxiv-operator.poolSize" -}}
{{- $size := 0 }}
{{- range $store := .group.stores }}
{{- $budget := get $.root.Values.postgres.connectionBudget $store | int }}
{{- if $budget }}
{{- $pods := 0 }}
{{- range $.groups }}{{ if has $store .stores }}{{ $pods = add $pods .pods }}{{ end }}{{ end }}
{{- /* The gate holds one connection in addition to its pool. */}}
{{- $share := sub (div $budget $pods) (eq $store "upstream" | ternary 1 0) | int }}
{{- if lt $share 1 }}
{{- fail (printf "postgres.connectionBudget.%s is %d, but up to %d pods of the API server use it: raise it (and the server's max_connections), or lower maxReplicas" $store $budget $pods) }}
{{- end }}
{{- $size = eq $size 0 | ternary $share (min $size $share) | int }}
{{- end }}
{{- end }}
{{- $size | default (int .root.Values.apiServer.settings.databaseMaxConnections) }}
{{- end }}
