{{- define "foldforge.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{/* Leaves room for "-orchestrator" in the 63 characters of a label. */}}
{{- define "foldforge.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "foldforge.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "foldforge.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{/* Takes { root, component }. */}}
{{- define "foldforge.componentName" -}}
{{- printf "%s-%s" (include "foldforge.fullname" .root) .component -}}
{{- end }}

{{/* What tells the Pods of one program from all others: never changes. */}}
{{- define "foldforge.selector" -}}
app.kubernetes.io/name: {{ include "foldforge.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Of an object. The component may be missing: what belongs to both programs has none. */}}
{{- define "foldforge.labels" -}}
{{- if .component }}
{{- include "foldforge.selector" . }}
{{- else -}}
app.kubernetes.io/name: {{ include "foldforge.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}
{{ include "foldforge.commonLabels" .root }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{/* Those that Pods have too: another one of these starts new Pods. */}}
{{- define "foldforge.commonLabels" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: foldforge
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "foldforge.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "foldforge.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "foldforge.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{/* The port of a URL, which the text may leave to the scheme. */}}
{{- define "foldforge.portOf" -}}
{{- $url := urlParse . -}}
{{- $written := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
{{- if $written }}{{ $written }}{{ else if eq $url.scheme "https" }}443{{ else }}80{{ end -}}
{{- end }}
