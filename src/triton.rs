//! Typed calls to the models on Triton. The only module that knows the protocol.

mod address;
mod call;
mod codec;
mod error;
mod outlier;
mod pool;
mod replica;
mod tile;

#[allow(missing_docs, clippy::all, reason = "generated from proto/inference.proto")]
mod protocol {
    tonic::include_proto!("inference");
}

pub use address::Address;
pub use error::Error;
pub use pool::{Pool, PoolStatus};
pub use replica::ReplicaStatus;
pub use tile::{SEGMENTER_SIDE, Tile};

use std::{net::SocketAddr, path::Path, sync::Arc};

use bytes::Bytes;
use ndarray::{Array2, Array3, Axis};
use tokio::time::Instant;
use tonic::transport::{Certificate, Identity};

use call::{Call, Tensor};

use crate::process::unreadable;

/// Applies the checks of a response to an encoded `ModelInferResponse`; for fuzzing.
///
/// # Errors
/// What is wrong with the message.
#[doc(hidden)]
pub fn check_answer(message: &[u8], output: &'static str, shape: [usize; 4]) -> Result<Bytes, String> {
    let answer = prost::Message::decode(message).map_err(|error: prost::DecodeError| error.to_string())?;
    Call { model: "", inputs: vec![], output, shape }.output(answer)
}

/// The certificates for `https://` addresses: which are trusted, and which one we present.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// The trusted certificate authority; without it, the system's.
    ca: Option<Certificate>,
    /// The client certificate and its key.
    identity: Option<Identity>,
}

impl Tls {
    /// Reads PEM files: the authority, and the client certificate and key.
    ///
    /// # Errors
    /// A message that names the setting and the file.
    pub fn load(ca: Option<&Path>, own: Option<(&Path, &Path)>) -> Result<Self, String> {
        let read =
            |name: &str, path: &Path| std::fs::read(path).map_err(|error| unreadable(name, path, &error));
        let ca = ca.map(|path| read("LACUNA_TRITON_CA", path).map(Certificate::from_pem)).transpose()?;
        let identity = own.map(|(certificate, key)| {
            let certificate = read("LACUNA_TRITON_CERT", certificate)?;
            Ok::<_, String>(Identity::from_pem(certificate, read("LACUNA_TRITON_KEY", key)?))
        });
        Ok(Self { ca, identity: identity.transpose()? })
    }
}

/// Where a response came from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The model's label: the `label` parameter of its configuration on that replica, or else its name.
    pub label: String,
    /// The replica.
    pub replica: SocketAddr,
}

/// The two models that requests need, on whichever replicas serve them.
#[derive(Clone, Debug)]
pub struct Models {
    pool: Pool,
    inpaint: Arc<str>,
    segment: Arc<str>,
}

impl Models {
    /// The models with these names on the replicas of `pool`.
    pub fn new(pool: Pool, inpaint: &str, segment: &str) -> Self {
        Self { pool, inpaint: inpaint.into(), segment: segment.into() }
    }

    /// The state of the replicas.
    pub fn status(&self) -> PoolStatus {
        self.pool.status()
    }

    /// Whether at least one replica serves the inpainter.
    pub fn ready(&self) -> bool {
        self.pool.serves(&self.inpaint)
    }

    /// The image of `tile` with its hole filled, `[S, S, 3]` RGB in row-major order, and where it ran.
    ///
    /// # Errors
    /// See [`Error`]; a response of the wrong shape is [`Error::Failed`].
    pub async fn inpaint(&self, tile: Tile, deadline: Instant) -> Result<(Bytes, Origin), Error> {
        let (height, width, _) = tile.image.dim();
        let call = Call {
            model: &self.inpaint,
            inputs: vec![
                Tensor::of("image", tile.image.insert_axis(Axis(0)).into_dyn()),
                Tensor::of("mask", tile.mask.insert_axis(Axis(0)).insert_axis(Axis(3)).into_dyn()),
            ],
            output: "output",
            shape: [1, height, width, 3],
        };
        self.pool.infer(call, deadline).await
    }

    /// The alpha matte `[1024, 1024]` of the subject of an RGB image `[1024, 1024, 3]`, and where it ran.
    ///
    /// # Errors
    /// See [`Error`]; a response of the wrong shape is [`Error::Failed`].
    pub async fn segment(&self, image: Array3<u8>, deadline: Instant) -> Result<(Array2<u8>, Origin), Error> {
        let side = SEGMENTER_SIDE as usize;
        let call = Call {
            model: &self.segment,
            inputs: vec![Tensor::of("image", image.insert_axis(Axis(0)).into_dyn())],
            output: "alpha",
            shape: [1, side, side, 1],
        };
        let (alpha, origin) = self.pool.infer(call, deadline).await?;
        let alpha = Array2::from_shape_vec((side, side), alpha.into());
        Ok((alpha.expect("its length was checked. This is a bug."), origin))
    }
}
