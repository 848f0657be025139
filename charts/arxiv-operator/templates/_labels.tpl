{{/* Labels and annotations. `component` is operator, api-server, migrate or test; `group` names one of the API server's Deployments. */}}

{{/* For selectors: never changes. Argument: root, component, group (optional). */}}
{{- define "arxiv-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "arxiv-operator.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .group }}
arxiv-operator.dev/group: {{ . }}
{{- end }}
{{- end }}

{{/* All pods of the release. Argument: the root. */}}
{{- define "arxiv-operator.releaseLabels" -}}
app.kubernetes.io/name: {{ include "arxiv-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "arxiv-operator.labels" -}}
{{ include "arxiv-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: arxiv-operator
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The metadata of an object. Argument: root, component, group (optional), name, namespace (optional; "-" for none), annotations (optional), labels (optional). */}}
{{- define "arxiv-operator.metadata" -}}
name: {{ .name }}
{{- if ne (.namespace | default "") "-" }}
namespace: {{ .namespace | default .root.Release.Namespace }}
{{- end }}
labels:
  {{- include "arxiv-operator.labels" . | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
