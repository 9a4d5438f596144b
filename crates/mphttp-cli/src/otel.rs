//! Traces for an OpenTelemetry collector: OTLP over HTTP, as protobuf, sent by this project's own client.
//!
//! On if the environment says where to (`OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` or `OTEL_EXPORTER_OTLP_ENDPOINT`); what else the
//! OpenTelemetry SDK reads there holds too: headers, time limits, sampling, the service's name, sizes of batches.

use std::{env, fmt, time::Duration};

use anyhow::Context;
use async_trait::async_trait;
use bytes::Bytes;
use mphttp::{Client, Protocol};
use opentelemetry::{global, trace::TracerProvider};
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{SdkTracerProvider, Tracer},
};
use tokio::runtime::{Builder, Runtime};
use tracing::{Level, subscriber::NoSubscriber};
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::{Layer, filter::Targets, registry::LookupSpan};

use crate::{
    error_reporting::{Failure, say},
    exit::Exit,
};

/// What says where to.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
/// How long the last spans may take to leave.
const FLUSH: Duration = Duration::from_secs(5);

/// Sends spans in batches, from threads of its own; dropped, it sends what is left.
pub struct Exporter {
    provider: SdkTracerProvider,
    tracer: Tracer,
    /// What is left is sent on it: it ends last.
    runtime: Option<Runtime>,
}

impl Exporter {
    /// An exporter, if the environment asks for one.
    ///
    /// # Errors
    /// What it says can't be used.
    pub fn from_env() -> anyhow::Result<Option<Self>> {
        let wanted = |name: &&&str| env::var_os(name).is_some_and(|value| !value.is_empty());
        let Some(asked) = ENDPOINTS.iter().find(wanted) else { return Ok(None) };
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("mphttp-traces")
            // Spans about sending spans would never end.
            .on_thread_start(|| std::mem::forget(tracing::subscriber::set_default(NoSubscriber::new())))
            .enable_all()
            .build()
            .context("can't start the runtime for traces")?;
        let client = Client::builder().protocol(Protocol::from_env()?).build()?;
        let unusable = || {
            Failure::new(Exit::Usage, format!("traces can't be sent as {asked} says"))
                .hint("name the collector's HTTP port: http://localhost:4318")
        };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Ours { client, runtime: runtime.handle().clone() })
            .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
            .build()
            .with_context(unusable)?;
        let mut resource = Resource::builder();
        if env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name("mphttp");
        }
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource.build())
            .build();
        global::set_text_map_propagator(TraceContextPropagator::new());
        let tracer = provider.tracer("mphttp");
        Ok(Some(Self { provider, tracer, runtime: Some(runtime) }))
    }

    /// What has `tracing` hand its spans to this.
    pub fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: tracing::Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        let ours = Targets::new().with_target("mphttp", Level::INFO);
        OpenTelemetryLayer::new(self.tracer.clone()).with_filter(ours)
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        if let Err(error) = self.provider.shutdown_with_timeout(FLUSH) {
            say(format_args!("warning: the last traces may be lost: {error}"));
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Our client, as the SDK wants it: its threads wait for answers without a runtime.
struct Ours {
    client: Client,
    runtime: tokio::runtime::Handle,
}

impl fmt::Debug for Ours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ours").finish_non_exhaustive()
    }
}

#[async_trait]
impl HttpClient for Ours {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sending = self.runtime.spawn(async move {
            let (head, body) = request.into_parts();
            let mut asking = client.request(head.method, head.uri.to_string()).body(body);
            for (name, value) in &head.headers {
                asking = asking.header(name, value);
            }
            let answer = asking.send().await?;
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = answer.status();
            *response.headers_mut() = answer.headers().clone();
            *response.body_mut() = answer.bytes().await?;
            Ok::<_, mphttp::Error>(response)
        });
        Ok(sending.await??)
    }
}
