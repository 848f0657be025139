{{/* Labels and annotations. `component` is operator, api-server, migrate or test; `group` names one of the API server's Deployments. */}}

{{/* For selectors: never changes. Argument: root, component, group (optional). */}}
{{- define "arxiv-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "arxiv-operator.name" .root | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- with .group }}
arxiv-operator.dev/group: {{ . }}
{{- end }}
{{- end }}

{{/* All pods of the release. Argument: the root. */}}
{{- define "arxiv-operator.releaseLabels" -}}
app.kubernetes.io/name: {{ include "arxiv-operator.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* Of one key there is one value: that of selectors and of Helm, else the object's own, else the user's, else the usual one. Argument: root, component, group (optional), labels (optional). */}}
{{- define "arxiv-operator.labels" -}}
{{- $fixed := include "arxiv-operator.selectorLabels" . | fromYaml }}
{{- $_ := set $fixed "app.kubernetes.io/managed-by" .root.Release.Service }}
{{- $usual := dict
      "app.kubernetes.io/version" .root.Chart.AppVersion
      "app.kubernetes.io/part-of" "arxiv-operator"
      "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") }}
{{- merge (dict) $fixed (.labels | default dict) .root.Values.commonLabels $usual | toYaml }}
{{- end }}

{{/* The metadata of an object. Argument: root, component, group (optional), name, namespace (optional; "-" for none), annotations (optional), labels (optional). */}}
{{- define "arxiv-operator.metadata" -}}
name: {{ .name | quote }}
{{- if ne (.namespace | default "") "-" }}
namespace: {{ .namespace | default .root.Release.Namespace | quote }}
{{- end }}
labels:
  {{- include "arxiv-operator.labels" . | nindent 2 }}
{{- with merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
