//! One call: a fresh instance, the request in, the response out.

use super::conversation::Call;
use super::epoch::Epoch;
use crate::event::{self, About};
use crate::failure::Failure;
use crate::guest::{Guest, Household};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use model::limit;
use std::time::Duration;
use tokio::sync::oneshot;
use wasmtime::{Store, UpdateDeadline};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use world::World;

/// Most bytes of an answer, as AWS counts them.
const ANSWER_BYTES: usize = limit("sync-payload") as usize + 100;
const HOSTCALL_BYTES: usize = limit("wasm-hostcall-bytes") as usize;
/// The platform ends the worker at the deadline if the call is its only one. Else the call is ended here.
const GRACE: Duration = Duration::from_millis(25);

/// Everything that calls are served with.
pub(super) struct Kitchen {
    pub(super) pre: ProxyPre<Guest>,
    pub(super) household: Household,
    pub(super) epoch: Epoch,
    pub(super) world: World,
}

type Outcome = Result<http::Response<HyperOutgoingBody>, ErrorCode>;

impl Kitchen {
    /// Runs one call to its end, or to its deadline.
    pub(super) async fn serve(&self, call: &Call) -> Result<Bytes, Failure> {
        let _ticking = self.epoch.ticking();
        let left = Duration::from_millis(call.deadline_ms().saturating_sub(self.world.now().millis()));
        let about = About { exchange: call.exchange(), request_id: call.id(), trace: call.trace() };
        let (request, form) = event::request(call.event.clone(), about).map_err(Failure::Event)?;
        let response = tokio::select! {
            // The instance first: most calls end without a pause, and need no timer then.
            biased;
            response = self.exchange(call.id(), request) => response?,
            () = self.world.sleep(left + GRACE) => return Err(Failure::TimedOut(left)),
        };
        let answer =
            event::answer(response, form).map_err(|(kind, message)| Failure::Raised(kind, message))?;
        // What a body becomes in an event may be longer than the body.
        if answer.len() > ANSWER_BYTES {
            Err(Failure::TooLarge { limit_bytes: ANSWER_BYTES })
        } else {
            Ok(answer)
        }
    }

    /// The instance may work on after it has set its response, until it has written the body and returned.
    async fn exchange(
        &self,
        id: &str,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, Failure> {
        let (sender, receiver) = oneshot::channel();
        let handled = async { self.handle(id, request, sender).await.map_err(Failure::Trapped) };
        let answered = async {
            // Dropped unused with the instance.
            let Ok(outcome) = receiver.await else { return Err(Failure::NoResponse) };
            whole(outcome).await
        };
        // What goes wrong first counts: the other half may fail for no other reason.
        let ((), response) = tokio::try_join!(biased; handled, answered)?;
        Ok(response)
    }

    async fn handle(
        &self,
        id: &str,
        request: http::Request<Bytes>,
        sender: oneshot::Sender<Outcome>,
    ) -> wasmtime::Result<()> {
        let mut store = Store::new(self.pre.engine(), self.household.guest(id)?);
        store.limiter(|guest| &mut guest.share);
        store.set_hostcall_fuel(HOSTCALL_BYTES);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|_| Ok(UpdateDeadline::Yield(1)));
        let request = request.map(Full::new);
        let request = store.data_mut().http().new_incoming_request(Scheme::Http, request)?;
        let out = store.data_mut().http().new_response_outparam(sender)?;
        let proxy = self.pre.instantiate_async(&mut store).await?;
        proxy.wasi_http_incoming_handler().call_handle(&mut store, request, out).await
    }
}

/// The response with its whole body.
async fn whole(outcome: Outcome) -> Result<http::Response<Bytes>, Failure> {
    let response = outcome.map_err(|code| Failure::Broken(code.to_string()))?;
    let (parts, mut body) = response.into_parts();
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Failure::Broken(format!("{error:?}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > ANSWER_BYTES {
            return Err(Failure::TooLarge { limit_bytes: ANSWER_BYTES });
        }
        bytes.extend_from_slice(&data);
    }
    Ok(http::Response::from_parts(parts, bytes.freeze()))
}
