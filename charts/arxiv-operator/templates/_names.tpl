{{/* Names. Each is cut so that the longest suffix ("-migrate-VERSION-HASH") still fits into 63 characters. */}}

{{- define "arxiv-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 37 | trimSuffix "-" }}
{{- end }}

{{- /* A name that had to be changed, or that another release could have as well, ends with a hash of the release's name. */}}
{{- define "arxiv-operator.fullname" -}}
{{- $name := include "arxiv-operator.name" . }}
{{- $wanted := .Values.fullnameOverride | default (contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name)) }}
{{- /* Names of Services: no dots, and a letter first. */}}
{{- $valid := $wanted | lower | replace "." "-" | trimSuffix "-" }}
{{- if regexMatch "^[0-9]" $valid }}{{ $valid = printf "r%s" $valid }}{{ end }}
{{- $ambiguous := and (not .Values.fullnameOverride) (hasSuffix (printf "-%s" $name) .Release.Name) }}
{{- if or $ambiguous (ne $valid $wanted) (gt (len $valid) 37) }}
{{- printf "%s-%s" ($valid | trunc 28 | trimSuffix "-") (sha256sum (printf "%s %s" .Release.Name $wanted) | trunc 8) }}
{{- else }}
{{- $valid }}
{{- end }}
{{- end }}

{{/* Cluster-wide names tell their namespace: two releases of one name may be in two namespaces. A namespace has no dots. */}}
{{- define "arxiv-operator.clusterName" -}}
{{- printf "%s.%s" .Release.Namespace (include "arxiv-operator.fullname" .) }}
{{- end }}

{{/* The one namespace that is watched, or nothing. */}}
{{- define "arxiv-operator.watchNamespace" -}}
{{- first .Values.operator.watchNamespaces | default "" }}
{{- end }}

{{/* Where GET /arxiv makes its objects. */}}
{{- define "arxiv-operator.queryNamespace" -}}
{{- $watched := include "arxiv-operator.watchNamespace" . }}
{{- $namespace := .Values.apiServer.queryNamespace | default $watched | default .Release.Namespace }}
{{- if and $watched (ne $watched $namespace) }}
{{- fail (printf "apiServer.queryNamespace is %s, but the operator watches %s alone (operator.watchNamespaces)" $namespace $watched) }}
{{- end }}
{{- $namespace }}
{{- end }}

{{/* The IP families of a Service's spec. */}}
{{- define "arxiv-operator.ipFamilies" -}}
{{- with .Values.service.ipFamilyPolicy }}
ipFamilyPolicy: {{ . }}
{{- end }}
{{- with .Values.service.ipFamilies }}
ipFamilies: {{ toJson . }}
{{- end }}
{{- end }}

{{/* The Secret with the key of the labels by which objects name their clients. */}}
{{- define "arxiv-operator.clientKeySecret" -}}
{{- .Values.apiServer.clients.keySecret | default (printf "%s-client-key" (include "arxiv-operator.fullname" .)) }}
{{- end }}

{{/* The name of a ServiceAccount. Argument: settings (serviceAccount of the values), name (that of the one the chart makes). */}}
{{- define "arxiv-operator.account" -}}
{{- if not (or .settings.create .settings.name) }}{{ fail (printf "serviceAccount.create is false: give the name of the one to use in place of %s" .name) }}{{ end }}
{{- .settings.name | default .name }}
{{- end }}

{{/* The operator's ServiceAccount. */}}
{{- define "arxiv-operator.operatorAccount" -}}
{{- include "arxiv-operator.account" (dict "settings" .Values.operator.serviceAccount "name" (printf "%s-operator" (include "arxiv-operator.fullname" .))) }}
{{- end }}

{{/* That of the migrations. */}}
{{- define "arxiv-operator.migrateAccount" -}}
{{- include "arxiv-operator.account" (dict "settings" .Values.migrations.serviceAccount "name" (printf "%s-migrate" (include "arxiv-operator.fullname" .))) }}
{{- end }}
