{{/*
Object names are fixed whatever the release is called, so that the service name in the configuration holds.
A second release in the same namespace is refused by Helm; give it a namespace of its own.

The label helpers take a dict of `root` (the top scope) and `component` (backend or frontend).
*/}}

{{- define "habit-tracker.selectorLabels" -}}
app: habit-tracker-{{ .component }}
{{- end }}

{{/* No chart version here: it would restart pods that are otherwise the same. */}}
{{- define "habit-tracker.podLabels" -}}
{{ include "habit-tracker.selectorLabels" . }}
component: {{ .component }}
version: {{ include "habit-tracker.labelValue" (index .root.Values .component).image.tag }}
app.kubernetes.io/part-of: habit-tracker
{{- end }}

{{- define "habit-tracker.labels" -}}
{{ include "habit-tracker.podLabels" . }}
{{ include "habit-tracker.chartLabels" .root }}
{{- end }}

{{- define "habit-tracker.chartLabels" -}}
helm.sh/chart: {{ include "habit-tracker.labelValue" (printf "%s-%s" .Chart.Name .Chart.Version) }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* A tag or version as a label value: those are shorter, have no plus, and begin and end with a letter or digit. */}}
{{- define "habit-tracker.labelValue" -}}
{{ . | replace "+" "_" | trunc 63 | trimAll "-_." | quote }}
{{- end }}

{{/* Takes an image of the values. */}}
{{- define "habit-tracker.image" -}}
{{ printf "%s:%s" .repository .tag | quote }}
{{- end }}

{{/* Takes a service of the values: a ClusterIP Service has no node port, and without a number the cluster chooses. */}}
{{- define "habit-tracker.nodePort" -}}
{{- if and .nodePort (ne .type "ClusterIP") -}}
nodePort: {{ .nodePort }}
{{- end }}
{{- end }}

{{/*
Annotations of the pod templates: a pod reads its environment once, at its start, so a change of what it reads
has to change the pod template. The Secret is known only when a cluster is asked (not for `helm template`), and
by its version, because a digest of its values would let them be guessed.
*/}}
{{- define "habit-tracker.configChecksum" -}}
checksum/config: {{ .Values.config.data | toJson | sha256sum }}
{{- end }}

{{- define "habit-tracker.secretVersion" -}}
{{- with lookup "v1" "Secret" .Release.Namespace .Values.secret.name -}}
habit-tracker/secret-version: {{ .metadata.resourceVersion | quote }}
{{- end }}
{{- end }}
