"""An agent that logs calls of a model through OpenTelemetry's SDK and exporter, set up by the environment alone."""

import sys

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource

provider = LoggerProvider(resource=Resource.create({"service.name": "bot"}))
provider.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(), max_export_batch_size=128))
logger = provider.get_logger("agent.models", "1.2")
for number in range(300):
    logger.emit(LogRecord(
        severity_number=SeverityNumber.INFO, severity_text="INFO", body={"choice": ["yes", number]},
        event_name="gen_ai.client.inference.operation.details",
        attributes={
            "gen_ai.operation.name": "chat", "gen_ai.request.model": "large-1", "gen_ai.usage.input_tokens": 12,
            "gen_ai.request.temperature": 0.7, "gen_ai.response.finish_reasons": ["stop"],
            "test.run": sys.argv[1], "test.number": number,
        },
    ))
assert provider.force_flush(20_000)
provider.shutdown()
