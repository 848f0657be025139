{{/* The environment of every process of the API server. Argument: root, group, groups, cache (whether statements are cached). */}}
{{- define "arxiv-operator.apiServerEnv" -}}
{{- with .group.settings.settings }}
{{- include "arxiv-operator.env" (dict
      "LISTEN" (printf "%s:8000" $.root.Values.listenAddress)
      "METRICS_LISTEN" (printf "%s:9090" $.root.Values.listenAddress)
      "LOG_FORMAT" $.root.Values.log.format
      "ACCESS_LOG_CLIENT" $.root.Values.log.client
      "SERVE" $.group.serve
      "ROOT_PATH" .rootPath
      "DATABASE_MAX_CONNECTIONS" (include "arxiv-operator.poolSize" $)
      "STATEMENT_CACHE" $.cache
      "DRAIN_SECONDS" (include "arxiv-operator.integer" $.group.settings.drainSeconds)
      "DEFAULT_MAX_QUERY_RESULTS" (include "arxiv-operator.integer" .defaultMaxQueryResults)
      "RESULTS_DEFAULT_PAGE" (include "arxiv-operator.integer" .resultsDefaultPage)
      "RESULTS_DEFAULT_ITEMS_PER_PAGE" (include "arxiv-operator.integer" .resultsDefaultItemsPerPage)
      "TIMEZONE_OFFSET" (toString .timezoneOffset)
      "READ_SETTLE_SECONDS" (include "arxiv-operator.integer" .readSettleSeconds)) }}
{{- if $.group.settings.tls.secretName }}
{{- include "arxiv-operator.env" (dict
      "TLS_CERT_FILE" "/etc/arxiv-operator/tls/tls.crt"
      "TLS_KEY_FILE" "/etc/arxiv-operator/tls/tls.key") }}
{{- end }}
{{- with $.group.settings.clients }}
{{- include "arxiv-operator.env" (dict
      "TRUSTED_PROXIES" (join "," .trustedProxies)
      "TRUSTED_PROXIES_HEADER" .trustedProxiesHeader
      "ALLOWED_HOSTS" (include "arxiv-operator.allowedHosts" (dict "root" $.root "group" $.group))
      "PUBLIC_ORIGINS" (join "," .publicOrigins)
      "CORS_ALLOWED_ORIGINS" (join "," .corsAllowedOrigins)) }}
{{- if or $.group.kubernetes $.group.arxiv }}
{{- include "arxiv-operator.env" (dict
      "CLIENT_SEARCHES_PER_MINUTE" (include "arxiv-operator.integer" .searchesPerMinute)
      "CLIENT_BURST" (include "arxiv-operator.integer" .burst)) }}
{{- end }}
{{- if $.group.kubernetes }}
{{- include "arxiv-operator.env" (dict
      "CLIENT_KEY_SECRET" (include "arxiv-operator.clientKeySecret" $.root)
      "CLIENT_LOOKUPS_PER_MINUTE" (include "arxiv-operator.integer" .lookupsPerMinute)
      "PRIORITY_CEILINGS" (include "arxiv-operator.priorityCeilings" $.root)
      "ARXIV_MAX_PENDING" (include "arxiv-operator.integer" .maxPending)
      "ARXIV_MAX_PENDING_PER_CLIENT" (include "arxiv-operator.integer" .maxPendingPerClient)
      "ARXIV_MAX_PRIORITY" (include "arxiv-operator.integer" .maxPriority)) }}
{{- end }}
{{- end }}
{{- if $.group.guarded }}
{{- include "arxiv-operator.env" (dict
      "ACCESS" (include "arxiv-operator.access" $.root)
      "ACCESS_AUDIENCE" $.group.settings.access.audience
      "ACCESS_CACHE_SECONDS" (include "arxiv-operator.integer" $.group.settings.access.cacheSeconds)) }}
{{- end }}
{{- if $.group.kubernetes }}
{{- include "arxiv-operator.env" (dict
      "NAMESPACE" (include "arxiv-operator.queryNamespace" $.root)
      "CLASS_NAME" $.root.Values.className
      "ARXIV_WAIT_MS" (include "arxiv-operator.integer" .waitMilliseconds)
      "ARXIV_TTL_SECONDS" (include "arxiv-operator.integer" .ttlSeconds)
      "ARXIV_FAIL_FAST" .failFast) }}
{{- end }}
{{- if $.group.arxiv }}
{{- include "arxiv-operator.env" (dict "UPSTREAM_PATIENCE_MS" (include "arxiv-operator.integer" .upstreamPatienceMilliseconds)) }}
{{- end }}
{{- end }}
{{- end }}

{{/* The host names by which browsers call a group: its Service, those of the routes, and further ones. Argument: root, group. */}}
{{- define "arxiv-operator.allowedHosts" -}}
{{- $service := printf "%s-%s" (include "arxiv-operator.fullname" .root) .group.name }}
{{- $inNamespace := printf "%s.%s" $service .root.Release.Namespace }}
{{- $hosts := list $service $inNamespace (printf "%s.svc" $inNamespace) (printf "%s.svc.cluster.local" $inNamespace) }}
{{- with .root.Values.ingress }}{{ if .enabled }}{{ $hosts = concat $hosts .hosts }}{{ end }}{{ end }}
{{- with .root.Values.httpRoute }}{{ if .enabled }}{{ $hosts = concat $hosts .hostnames }}{{ end }}{{ end }}
{{- concat $hosts .group.settings.clients.allowedHosts | uniq | join "," }}
{{- end }}
