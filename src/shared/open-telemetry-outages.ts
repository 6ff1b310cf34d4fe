import type { SpanExporter } from '@opentelemetry/sdk-trace';
import type { Log } from './log.ts';

/** Says once that spans cannot be exported, and once that they can be again, however many exports fail in between. */
export function tellOfOutages(exporter: SpanExporter, log: Log): SpanExporter {
  let lost = 0;

  function observe(spans: number, error: Error | undefined, isSent: boolean): void {
    if (isSent) {
      if (lost > 0) log.info({ lost_spans: lost }, 'traces are exported again');
      lost = 0;
      return;
    }
    if (lost === 0) log.warn({ err: error }, 'traces cannot be exported: spans are lost until they can');
    lost += spans;
  }

  return {
    export(spans, report) {
      exporter.export(spans, (result) => {
        observe(spans.length, result.error, result.code === SUCCESS);
        report(result);
      });
    },
    shutdown: () => exporter.shutdown(),
    forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve(),
  };
}

/** ExportResultCode.SUCCESS of @opentelemetry/core, which is not ours to import. */
const SUCCESS = 0;
