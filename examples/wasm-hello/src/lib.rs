//! A WebAssembly component that serves `wasi:http`: it greets whoever calls, and says what it was asked.

use wasip2::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};

struct Hello;

wasip2::http::proxy::export!(Hello);

impl wasip2::exports::http::incoming_handler::Guest for Hello {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let event = body(&request);
        println!("asked for {path} with {} bytes", event.len());

        let headers = Fields::from_list(&[("content-type".into(), b"application/json".into())]);
        let response = OutgoingResponse::new(headers.expect("sound headers"));
        let writer = response.body().expect("not taken yet");
        ResponseOutparam::set(out, Ok(response));
        let answer =
            format!(r#"{{"greeting":"hello from WebAssembly","path":{path:?},"bytes":{}}}"#, event.len());
        let stream = writer.write().expect("not taken yet");
        stream.blocking_write_and_flush(answer.as_bytes()).expect("the platform reads it");
        drop(stream);
        OutgoingBody::finish(writer, None).expect("complete");
    }
}

fn body(request: &IncomingRequest) -> Vec<u8> {
    let incoming = request.consume().expect("not taken yet");
    let stream = incoming.stream().expect("not taken yet");
    let mut all = Vec::new();
    // It ends with an error that says "closed".
    while let Ok(bytes) = stream.blocking_read(64 * 1024) {
        all.extend(bytes);
    }
    all
}
