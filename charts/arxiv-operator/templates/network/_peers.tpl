{{/* Parts of NetworkPolicies. */}}

{{/* Rules to (or from) these peers, everywhere when there are none. Argument: direction (to or from), peers, ports, protocols (TCP when left out). */}}
{{- define "arxiv-operator.networkRule" -}}
{{- $ports := list }}
{{- range $port := .ports }}
{{- range $.protocols | default (list "TCP") }}
{{- $ports = append $ports (dict "port" (kindIs "string" $port | ternary $port (int $port)) "protocol" .) }}
{{- end }}
{{- end }}
{{- $rule := dict "ports" $ports }}
{{- if .peers }}{{ $_ := set $rule .direction .peers }}{{ end }}
{{- toYaml (list $rule) }}
{{- end }}

{{/* Public addresses: arXiv is behind a content network whose addresses change. */}}
{{- define "arxiv-operator.publicAddresses" -}}
- ipBlock:
    cidr: 0.0.0.0/0
    except: [10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12, 192.168.0.0/16]
- ipBlock:
    cidr: ::/0
    except: ["fc00::/7", "fe80::/10"]
{{- end }}

{{/* Egress to arXiv or its proxy. Argument: the root. */}}
{{- define "arxiv-operator.egressArxiv" -}}
{{- $policy := .Values.networkPolicy.arxiv }}
{{- $proxied := or .Values.arxiv.proxy.url .Values.arxiv.proxy.secret }}
{{- if and $proxied (not (and $policy.to $policy.ports)) }}
{{- fail "arxiv.proxy: say where the proxy is in networkPolicy.arxiv.to and .ports (or set networkPolicy.enabled: false)" }}
{{- end }}
{{- $url := urlParse .Values.arxiv.apiUrl }}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (eq $url.scheme "http" | ternary "80" "443") | int }}
{{- include "arxiv-operator.networkRule" (dict
      "direction" "to"
      "peers" ($policy.to | default (include "arxiv-operator.publicAddresses" . | fromYamlArray))
      "ports" ($policy.ports | default (list $port))) }}
{{- end }}

{{/* Egress to the receivers of webhooks, if there are some. Argument: the root. */}}
{{- define "arxiv-operator.egressWebhooks" -}}
{{- if .Values.operator.webhooks.namespaces }}
{{- $policy := .Values.networkPolicy.webhooks }}
{{- $peers := $policy.to }}
{{- if not $peers }}
{{- $peers = include "arxiv-operator.publicAddresses" . | fromYamlArray }}
{{- range .Values.operator.webhooks.networks }}
{{- $peers = append $peers (dict "ipBlock" (dict "cidr" .)) }}
{{- end }}
{{- end }}
{{- include "arxiv-operator.networkRule" (dict "direction" "to" "peers" $peers "ports" $policy.ports) }}
{{- end }}
{{- end }}

{{/* Egress to the collector of traces, if there is one. Argument: the root. */}}
{{- define "arxiv-operator.egressTracing" -}}
{{- with .Values.tracing.endpoint }}
{{- $url := urlParse . }}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (eq $url.scheme "http" | ternary "80" "443") | int }}
{{- $policy := $.Values.networkPolicy.tracing }}
{{- include "arxiv-operator.networkRule" (dict "direction" "to" "peers" $policy.to "ports" ($policy.ports | default (list $port))) }}
{{- end }}
{{- end }}

{{/* Egress to the databases behind these stores. Argument: root, servers (data, sequence: for mode cnpg). */}}
{{- define "arxiv-operator.egressPostgres" -}}
{{- $policy := .root.Values.networkPolicy.postgres }}
{{- $peers := $policy.to }}
{{- if and (eq .root.Values.postgres.mode "cnpg") (not $peers) }}
{{- range .servers }}
{{- $peers = append $peers (dict "podSelector" (dict "matchLabels" (dict "cnpg.io/cluster" (include "arxiv-operator.cnpgName" (dict "root" $.root "server" .))))) }}
{{- end }}
{{- end }}
{{- if and (has "data" .servers) (include "arxiv-operator.readPooler" .root) (not $policy.to) }}
{{- $peers = append $peers (dict "podSelector" (dict "matchLabels" (dict "cnpg.io/poolerName" (printf "%s-read-pooler" (include "arxiv-operator.cnpgName" (dict "root" .root "server" "data")))))) }}
{{- end }}
{{- include "arxiv-operator.networkRule" (dict "direction" "to" "peers" $peers "ports" $policy.ports) }}
{{- end }}

{{/* Egress to the API server of Kubernetes. Argument: the root. */}}
{{- define "arxiv-operator.egressKubernetes" -}}
{{- include "arxiv-operator.networkRule" (dict "direction" "to" "peers" .Values.networkPolicy.kubeApiServer.to "ports" .Values.networkPolicy.kubeApiServer.ports) }}
{{- end }}
