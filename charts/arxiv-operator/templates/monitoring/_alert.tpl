{{/* The end of an alert: how long its expression has to hold, its severity, its texts. Argument: root, name, summary, description. */}}
{{- define "arxiv-operator.alert" -}}
{{- $rule := .root.Values.monitoring.prometheusRule }}
{{- $settings := get $rule.alerts .name }}
for: {{ $settings.for }}
labels: {severity: {{ $settings.severity }}}
annotations:
  summary: {{ .summary | quote }}
  description: {{ .description | quote }}
  runbook_url: {{ printf "%s/%s.md" (trimSuffix "/" $rule.runbookUrl) .name | quote }}
{{- end }}
