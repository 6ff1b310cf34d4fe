{{/* How clients speak to gateways: http or https. */}}
{{- define "foldforge.gatewayScheme" -}}
{{- ternary "https" "http" (ne .Values.gateway.tls.secretName "") -}}
{{- end }}

{{- define "foldforge.gatewayPort" -}}
{{- .Values.gateway.service.port | default (ternary 443 80 (ne .Values.gateway.tls.secretName "")) -}}
{{- end }}

{{/* All addresses of the name are used, with either scheme. */}}
{{- define "foldforge.orchestratorEndpoint" -}}
{{- $service := include "foldforge.componentName" (dict "root" . "component" "orchestrator") -}}
{{- if .Values.orchestrator.tls.secretName -}}
https://{{ default $service .Values.gateway.orchestratorTls.serverName }}:50051
{{- else -}}
dns:///{{ $service }}:50051
{{- end -}}
{{- end }}

{{/*
What a program is given of TLS, as YAML: `pairs` of a certificate and its key, by what their settings begin with, and
`authorities`, by their settings without "_FILE". Takes { component, values }.
*/}}
{{- define "foldforge.tls" -}}
{{- if eq .component "gateway" -}}
pairs: { TLS: {{ .values.tls.secretName | quote }}, ORCHESTRATOR: {{ .values.orchestratorTls.secretName | quote }} }
authorities: { ORCHESTRATOR_CA: {{ toJson .values.orchestratorTls.ca }} }
{{- else -}}
pairs: { TLS: {{ .values.tls.secretName | quote }} }
authorities: { TLS_CLIENT_CA: {{ toJson .values.tls.clientCA }}, SIDECAR_CA: {{ toJson .values.sidecarTls.ca }} }
{{- end -}}
{{- end }}

{{/* One source for both files of a pair, so that they change together. */}}
{{- define "foldforge.tlsSources" -}}
{{- $tls := include "foldforge.tls" . | fromYaml -}}
{{- range $name, $secret := $tls.pairs }}
{{- if $secret }}
- secret:
    name: {{ $secret | quote }}
    items: [{ key: tls.crt, path: {{ $name }}_CERT }, { key: tls.key, path: {{ $name }}_KEY }]
{{- end }}
{{- end }}
{{- range $name, $places := $tls.authorities }}
{{- range $kind, $place := $places }}
- {{ $kind }}:
    name: {{ $place.name | quote }}
    items: [{ key: {{ $place.key | quote }}, path: {{ $name }} }]
{{- end }}
{{- end }}
{{- end }}

{{- define "foldforge.tlsEnv" -}}
{{- $prefix := .prefix -}}
{{- $tls := include "foldforge.tls" . | fromYaml -}}
{{- $files := list -}}
{{- range $name, $secret := $tls.pairs }}
{{- if $secret }}{{ $files = concat $files (list (printf "%s_CERT" $name) (printf "%s_KEY" $name)) }}{{ end }}
{{- end }}
{{- range $name, $places := $tls.authorities }}
{{- if $places }}{{ $files = append $files $name }}{{ end }}
{{- end }}
{{- range $files }}
- { name: {{ $prefix }}{{ . }}_FILE, value: /etc/foldforge/certificates/{{ . }} }
{{- end }}
{{- end }}

{{/* What the schema cannot say of it: what would not be used, and what would never connect. */}}
{{- define "foldforge.tlsChecks" -}}
{{- $calls := .Values.gateway.orchestratorTls -}}
{{- with .Values.orchestrator.tls -}}
{{- if .secretName -}}
{{- if not $calls.ca -}}
{{- fail "orchestrator.tls.secretName is set, so gateway.orchestratorTls.ca must be set too: no public authority vouches for the name of a Service" -}}
{{- end -}}
{{- if and .clientCA (not $calls.secretName) -}}
{{- fail "orchestrator.tls.clientCA is set, so gateway.orchestratorTls.secretName must be set too: gateways without a certificate would be refused" -}}
{{- end -}}
{{- else -}}
{{- if .clientCA -}}
{{- fail "orchestrator.tls.clientCA is set, but orchestrator.tls.secretName is not, so it would not be used" -}}
{{- end -}}
{{- range $name, $value := $calls -}}
{{- if $value -}}
{{- fail (printf "gateway.orchestratorTls.%s is set, but orchestrator.tls.secretName is not, so it would not be used" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if .Values.orchestrator.sidecarTls.ca -}}
{{- $isUsed := false -}}
{{- range $setting, $value := .Values.orchestrator.config -}}
{{- if and (hasPrefix "SIDECAR_" $setting) (hasPrefix "https://" (toString $value)) }}{{ $isUsed = true }}{{ end -}}
{{- end -}}
{{- if not $isUsed -}}
{{- fail "orchestrator.sidecarTls.ca is set, but no orchestrator.config.SIDECAR_… is https://, so it would not be used" -}}
{{- end -}}
{{- end -}}
{{- with .Values.serviceMonitor -}}
{{- $isTls := ne $.Values.gateway.tls.secretName "" -}}
{{- if and .tlsConfig (not $isTls) -}}
{{- fail "serviceMonitor.tlsConfig is set, but gateway.tls.secretName is not, so it would not be used" -}}
{{- end -}}
{{- if and .enabled $isTls (not .tlsConfig.serverName) (not .tlsConfig.insecureSkipVerify) -}}
{{- fail "serviceMonitor is enabled and gateway.tls.secretName is set, so serviceMonitor.tlsConfig must have serverName (with ca), or insecureSkipVerify: Prometheus calls gateways by their addresses, which are not in the certificate" -}}
{{- end -}}
{{- end -}}
{{- end }}
