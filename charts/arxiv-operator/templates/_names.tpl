{{/* Names. Each is cut so that the longest suffix ("-migrate-VERSION-HASH") still fits into 63 characters. */}}

{{- define "arxiv-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 37 | trimSuffix "-" }}
{{- end }}

{{- define "arxiv-operator.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 37 | trimSuffix "-" }}
{{- else if contains (include "arxiv-operator.name" .) .Release.Name }}
{{- .Release.Name | trunc 37 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "arxiv-operator.name" .) | trunc 37 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* Cluster-wide names tell their namespace: two releases of one name may be in two namespaces. */}}
{{- define "arxiv-operator.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "arxiv-operator.fullname" .) }}
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
