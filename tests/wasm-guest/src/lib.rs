//! The component that the black-box tests deploy: it does what the path of its request asks for, good or bad.

mod deeds;

use wasip2::http::types::{
    ErrorCode, Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

struct Guest;

wasip2::http::proxy::export!(Guest);

impl wasip2::exports::http::incoming_handler::Guest for Guest {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let event = body(&request);
        // A plain event asks by its text: {"deed": "/loop"}.
        let deed = match event.windows(9).position(|w| w == b"\"deed\": \"") {
            Some(at) => {
                String::from_utf8_lossy(&event[at + 9..]).split('"').next().unwrap_or_default().to_owned()
            }
            None => target,
        };
        match deed.as_str() {
            "/silent" => {}
            "/error" => ResponseOutparam::set(out, Err(ErrorCode::InternalError(Some("as asked".into())))),
            "/large" => answer(out, 200, vec![b'x'; 7 << 20]),
            "/broken" => {
                let response = OutgoingResponse::new(Fields::new());
                let writer = response.body().expect("body");
                ResponseOutparam::set(out, Ok(response));
                drop(writer);
            }
            "/late-trap" => {
                answer(out, 200, b"answered".to_vec());
                panic!("after the answer");
            }
            other => {
                let (status, text) = deeds::run(other, &request, &event);
                answer(out, status, text);
            }
        }
    }
}

fn answer(out: ResponseOutparam, status: u16, body: Vec<u8>) {
    let fields =
        [("x-guest", "yes"), ("set-cookie", "a=1"), ("set-cookie", "b=2"), ("content-type", "text/plain")];
    let fields: Vec<_> =
        fields.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
    let response = OutgoingResponse::new(Fields::from_list(&fields).expect("fields"));
    response.set_status_code(status).expect("status");
    let writer = response.body().expect("body");
    ResponseOutparam::set(out, Ok(response));
    let stream = writer.write().expect("stream");
    for part in body.chunks(4096) {
        stream.blocking_write_and_flush(part).expect("written");
    }
    drop(stream);
    OutgoingBody::finish(writer, None).expect("finished");
}

fn body(request: &IncomingRequest) -> Vec<u8> {
    let incoming = request.consume().expect("body");
    let stream = incoming.stream().expect("stream");
    let mut all = Vec::new();
    while let Ok(bytes) = stream.blocking_read(1 << 20) {
        all.extend(bytes);
    }
    all
}
