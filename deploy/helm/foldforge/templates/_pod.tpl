{{/* What the two programs' Pods have in common. Each takes { root, component, values, prefix }. */}}

{{- define "foldforge.podMetadata" -}}
labels:
  {{- include "foldforge.selector" . | nindent 2 }}
  {{- include "foldforge.commonLabels" .root | nindent 2 }}
  {{- with .values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "foldforge.podSettings" -}}
serviceAccountName: {{ include "foldforge.serviceAccountName" .root }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 1000
  runAsGroup: 1000
  fsGroup: 1000
  seccompProfile: { type: RuntimeDefault }
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    matchLabelKeys: [pod-template-hash]
    labelSelector:
      matchLabels:
        {{- include "foldforge.selector" $ | nindent 8 }}
  {{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
volumes:
  - name: tmp
    emptyDir: { sizeLimit: 64Mi }
  - name: secrets
    projected:
      # 0440, readable to the group of the Pod; YAML 1.1 and 1.2 differ in how they read that.
      defaultMode: 288
      sources:
        {{- range $setting, $place := .values.secrets }}
        {{- if $place }}
        - secret:
            name: {{ $place.name }}
            items: [{ key: {{ $place.key }}, path: {{ $setting }} }]
        {{- end }}
        {{- end }}
  {{- with include "foldforge.tlsSources" . | trim }}
  - name: certificates
    projected:
      defaultMode: 288
      sources:
        {{- . | nindent 8 }}
  {{- end }}
{{- end }}

{{- define "foldforge.containerSettings" -}}
image: {{ include "foldforge.image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args: [{{ .component }}]
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
resources:
  {{- toYaml .values.resources | nindent 2 }}
volumeMounts:
  - { name: tmp, mountPath: /tmp }
  - { name: secrets, mountPath: /etc/foldforge/secrets, readOnly: true }
  {{- if include "foldforge.tlsSources" . | trim }}
  - { name: certificates, mountPath: /etc/foldforge/certificates, readOnly: true }
  {{- end }}
{{- end }}

{{/* Numbers as JSON writes them: a template would write a large one with an exponent. */}}
{{- define "foldforge.env" -}}
{{- $prefix := .prefix -}}
{{- with .root.Values.objectStore }}
- { name: {{ $prefix }}R2_ENDPOINT, value: {{ .endpoint | quote }} }
- { name: {{ $prefix }}R2_REGION, value: {{ .region | quote }} }
- { name: {{ $prefix }}R2_BUCKET, value: {{ .bucket | quote }} }
- { name: {{ $prefix }}R2_FORCE_PATH_STYLE, value: {{ .forcePathStyle | quote }} }
{{- end }}
{{- range $setting, $value := .values.config }}
{{- if not (kindIs "invalid" $value) }}
- { name: {{ $prefix }}{{ $setting }}, value: {{ ternary $value (toJson $value) (kindIs "string" $value) | quote }} }
{{- end }}
{{- end }}
{{- range $setting, $place := .values.secrets }}
{{- if $place }}
- { name: {{ $prefix }}{{ $setting }}_FILE, value: /etc/foldforge/secrets/{{ $setting }} }
{{- end }}
{{- end }}
{{- include "foldforge.tlsEnv" . }}
{{- range $name, $value := .root.Values.tracing.env }}
- { name: {{ $name }}, value: {{ ternary $value (toJson $value) (kindIs "string" $value) | quote }} }
{{- end }}
{{- with .root.Values.tracing.headers }}
- name: OTEL_EXPORTER_OTLP_HEADERS
  valueFrom: { secretKeyRef: { name: {{ .name }}, key: {{ .key }} } }
{{- end }}
{{- end }}
