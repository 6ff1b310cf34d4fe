{{/* What the schema cannot say. */}}
{{- define "foldforge.checks" -}}
{{- with .Values.gateway.autoscaling -}}
{{- if .enabled -}}
{{- if gt (int .minReplicas) (int .maxReplicas) -}}
{{- fail (printf "gateway.autoscaling.minReplicas (%d) is more than maxReplicas (%d)" (int .minReplicas) (int .maxReplicas)) -}}
{{- end -}}
{{- if not (or .targetCPUPercent .targetInFlightRequests) -}}
{{- fail "gateway.autoscaling is enabled, but neither targetCPUPercent nor targetInFlightRequests is set" -}}
{{- end -}}
{{- if and .targetCPUPercent (not (dig "requests" "cpu" "" $.Values.gateway.resources)) -}}
{{- fail "gateway.autoscaling.targetCPUPercent is a share of gateway.resources.requests.cpu, which is not set" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with .Values.gateway.config -}}
{{- if gt (float64 .SHUTDOWN_DELAY_SECONDS) (float64 .SHUTDOWN_GRACE_SECONDS) -}}
{{- fail "gateway.config.SHUTDOWN_DELAY_SECONDS is longer than SHUTDOWN_GRACE_SECONDS" -}}
{{- end -}}
{{- end -}}
{{- $transport := .Values.gateway.config.ORCHESTRATOR_TRANSPORT | default "direct" -}}
{{- if and (ne $transport "direct") (not .Values.orchestrator.tls.secretName) -}}
{{- fail (printf "gateway.config.ORCHESTRATOR_TRANSPORT is %s, which cannot use dns:///, as orchestrators are found without TLS" $transport) -}}
{{- end -}}
{{- if hasKey .Values.tracing.env "OTEL_SERVICE_NAME" -}}
{{- fail "tracing.env.OTEL_SERVICE_NAME would give both programs one name; each has its own already" -}}
{{- end -}}
{{- range $name, $value := .Values.tracing.env -}}
{{- if hasSuffix "_HEADERS" $name -}}
{{- fail (printf "tracing.env.%s may be a secret: name the Secret that has it in tracing.headers" $name) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress is enabled, but ingress.hosts is empty" -}}
{{- end -}}
{{- end }}
