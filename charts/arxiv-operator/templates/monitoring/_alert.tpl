{{/* The end of an alert: how long its expression has to hold, its severity, its texts. Argument: root, name, summary, description. */}}
{{- define "arxiv-operator.alert" -}}
{{- $rule := .root.Values.monitoring.prometheusRule }}
{{- $settings := get $rule.alerts .name }}
for: {{ $settings.for }}
labels:
  severity: {{ $settings.severity | quote }}
  # One Prometheus may have the rules of several releases.
  namespace: {{ .root.Release.Namespace | quote }}
  release: {{ .root.Release.Name | quote }}
annotations:
  summary: {{ .summary | quote }}
  description: {{ .description | quote }}
  runbook_url: {{ printf "%s/%s.md" (trimSuffix "/" $rule.runbookUrl) .name | quote }}
{{- end }}

{{/* `jobs`: the names of the Services by which Prometheus scrapes the API server, which are the label `job`. */}}
{{- define "arxiv-operator.apiJobs" -}}
{{- $jobs := list }}
{{- range (include "arxiv-operator.groups" . | fromYaml).groups }}
{{- $jobs = append $jobs (printf "%s-%s%s" (include "arxiv-operator.fullname" $) .name (eq .settings.service.type "ClusterIP" | ternary "" "-metrics")) }}
{{- end }}
{{- toYaml (dict "jobs" $jobs) }}
{{- end }}

{{/* Whether nothing of a job was scraped in most of a time: also where a program starts and ends again and again. Argument: root, job, settings. */}}
{{- define "arxiv-operator.absent" -}}
avg_over_time((max(up{namespace="{{ .root.Release.Namespace }}", job="{{ .job }}"}) or vector(0))[{{ .settings.window }}:{{ .settings.resolution }}]) < {{ .settings.threshold }}
{{- end }}
