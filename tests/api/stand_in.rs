//! A server that speaks Triton's protocol on a socket, and answers as a test wants it to.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use tokio::{net::TcpListener, runtime::Runtime};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Request, Response, Status,
    transport::{Server, ServerTlsConfig},
};

use protocol::{
    ModelConfigRequest, ModelConfigResponse, ModelConfiguration, ModelInferRequest, ModelInferResponse,
    ModelParameter, ModelReadyRequest, ModelReadyResponse, ServerReadyRequest, ServerReadyResponse,
    grpc_inference_service_server::{GrpcInferenceService, GrpcInferenceServiceServer},
    model_infer_response::OutputTensor,
};

#[allow(clippy::all, reason = "generated from proto/inference.proto")]
pub mod protocol {
    include!(concat!(env!("OUT_DIR"), "/stand_in/inference.rs"));
}

/// The colour that the stand-in fills holes with.
pub const FILL: [u8; 3] = [10, 200, 90];

type Answer = Result<ModelInferResponse, Status>;
type Behaviour = Arc<dyn Fn(&ModelInferRequest) -> Answer + Send + Sync>;
/// What is said to a probe of the server (`None`) or of a model.
type Probe = Arc<dyn Fn(Option<&str>) -> Result<bool, Status> + Send + Sync>;

/// A stand-in that runs until it is dropped, on threads of its own: with them all its connections end.
#[allow(dead_code, reason = "not every program that includes this uses all of it")]
pub struct StandIn {
    pub address: SocketAddr,
    /// The `traceparent` of each call that had one.
    pub traces: Arc<Mutex<Vec<String>>>,
    runtime: Option<Runtime>,
}

impl Drop for StandIn {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[derive(Clone)]
struct Triton {
    behaviour: Behaviour,
    probe: Probe,
    /// Its models' labels begin with it.
    label: &'static str,
    delay: Duration,
    /// How long it takes to say that it is ready.
    waking: Duration,
    traces: Arc<Mutex<Vec<String>>>,
}

impl Triton {
    fn new(
        delay: Duration,
        behaviour: impl Fn(&ModelInferRequest) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self {
            behaviour: Arc::new(behaviour),
            probe: Arc::new(|_| Ok(true)),
            label: "stand-in",
            delay,
            waking: Duration::ZERO,
            traces: Arc::default(),
        }
    }
}

impl StandIn {
    /// One that fills every hole with [`FILL`], and finds a disc in the middle as the subject.
    pub async fn start() -> Self {
        Self::answering(Duration::ZERO, fill).await
    }

    /// One that takes `delay` and then answers as `behaviour` says.
    pub async fn answering(
        delay: Duration,
        behaviour: impl Fn(&ModelInferRequest) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::serving(Triton::new(delay, behaviour), None).await
    }

    /// One that fills holes, and takes `waking` until it says that it is ready.
    #[allow(dead_code, reason = "the bench has no use for it")]
    pub async fn waking(waking: Duration) -> Self {
        Self::serving(Triton { waking, ..Triton::new(Duration::ZERO, fill) }, None).await
    }

    /// One that answers probes as `probe` says, and requests as `behaviour` does.
    #[allow(dead_code, reason = "the bench has no use for it")]
    pub async fn probed(
        probe: impl Fn(Option<&str>) -> Result<bool, Status> + Send + Sync + 'static,
        behaviour: impl Fn(&ModelInferRequest) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::serving(Triton { probe: Arc::new(probe), ..Triton::new(Duration::ZERO, behaviour) }, None).await
    }

    /// One whose models' labels begin with `label`.
    #[allow(dead_code, reason = "the bench has no use for it")]
    pub async fn labelled(
        label: &'static str,
        behaviour: impl Fn(&ModelInferRequest) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::serving(Triton { label, ..Triton::new(Duration::ZERO, behaviour) }, None).await
    }

    /// One that fills holes, and speaks TLS.
    #[allow(dead_code, reason = "the bench has no use for it")]
    pub async fn with_tls(tls: ServerTlsConfig) -> Self {
        Self::serving(Triton::new(Duration::ZERO, fill), Some(tls)).await
    }

    async fn serving(triton: Triton, tls: Option<ServerTlsConfig>) -> Self {
        let traces = Arc::clone(&triton.traces);
        let service = GrpcInferenceServiceServer::new(triton).max_decoding_message_size(64 << 20);
        let server = match tls {
            Some(tls) => Server::builder().tls_config(tls).unwrap(),
            None => Server::builder(),
        };
        let server = { server }.add_service(service);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.spawn(TcpListener::bind("127.0.0.1:0")).await.unwrap().unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        Self { address, traces, runtime: Some(runtime) }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// A sound answer of either model.
pub fn fill(request: &ModelInferRequest) -> Answer {
    let shape = request.inputs[0].shape.clone();
    let image = &request.raw_input_contents[0];
    if request.model_name == "isnet" {
        let side = shape[1];
        let inside = |i: i64| (i % side - side / 2).pow(2) + (i / side - side / 2).pow(2) < (side / 5).pow(2);
        let alpha = (0..side * side).map(|i| if inside(i) { 255 } else { 0 }).collect::<Vec<u8>>();
        return Ok(output("alpha", "UINT8", vec![1, side, side, 1], alpha));
    }
    let mask = &request.raw_input_contents[1];
    let filled = image.chunks_exact(3).zip(mask.iter());
    let filled = filled.flat_map(|(rgb, &hole)| if hole >= 128 { FILL } else { [rgb[0], rgb[1], rgb[2]] });
    Ok(output("output", "UINT8", shape, filled.collect()))
}

/// A model whose output is its input.
#[allow(dead_code, reason = "the bench has no use for it")]
pub fn identity(request: &ModelInferRequest) -> Answer {
    inverted(request, 0)
}

/// A model whose output is the negative of its input.
#[allow(dead_code, reason = "the bench has no use for it")]
pub fn negative(request: &ModelInferRequest) -> Answer {
    inverted(request, 255)
}

fn inverted(request: &ModelInferRequest, bits: u8) -> Answer {
    let levels = request.raw_input_contents[0].iter().map(|level| level ^ bits).collect();
    Ok(output("output", "UINT8", request.inputs[0].shape.clone(), levels))
}

/// An answer with one output.
pub fn output(name: &str, datatype: &str, shape: Vec<i64>, data: Vec<u8>) -> ModelInferResponse {
    ModelInferResponse {
        model_name: String::new(),
        outputs: vec![OutputTensor { name: name.into(), datatype: datatype.into(), shape }],
        raw_output_contents: vec![Bytes::from(data)],
    }
}

#[tonic::async_trait]
impl GrpcInferenceService for Triton {
    async fn server_ready(
        &self,
        _: Request<ServerReadyRequest>,
    ) -> Result<Response<ServerReadyResponse>, Status> {
        tokio::time::sleep(self.waking).await;
        (self.probe)(None).map(|ready| Response::new(ServerReadyResponse { ready }))
    }

    async fn model_ready(
        &self,
        request: Request<ModelReadyRequest>,
    ) -> Result<Response<ModelReadyResponse>, Status> {
        let probed = (self.probe)(Some(&request.get_ref().name));
        probed.map(|ready| Response::new(ModelReadyResponse { ready }))
    }

    async fn model_config(
        &self,
        request: Request<ModelConfigRequest>,
    ) -> Result<Response<ModelConfigResponse>, Status> {
        let name = request.into_inner().name;
        let label = ModelParameter { string_value: format!("{}-{name}", self.label) };
        let parameters = [("label".to_owned(), label)].into();
        Ok(Response::new(ModelConfigResponse { config: Some(ModelConfiguration { name, parameters }) }))
    }

    async fn model_infer(
        &self,
        request: Request<ModelInferRequest>,
    ) -> Result<Response<ModelInferResponse>, Status> {
        if let Some(trace) = request.metadata().get("traceparent") {
            self.traces.lock().unwrap().push(trace.to_str().unwrap().to_owned());
        }
        tokio::time::sleep(self.delay).await;
        (self.behaviour)(request.get_ref()).map(Response::new)
    }
}
