//! Connections to ports, as clients meet them.

use palisade_wire::proto::tunnel_v1 as pb;
use palisade_wire::proto::tunnel_v1::connect_request::Frame as Sent;
use palisade_wire::proto::tunnel_v1::connect_response::Frame as Received;
use palisade_wire::proto::tunnel_v1::tunnel_service_client::TunnelServiceClient;

use super::*;

const PORT: u16 = 8080;

struct Connection {
    frames: mpsc::Sender<pb::ConnectRequest>,
    answers: Streaming<pb::ConnectResponse>,
}

impl Connection {
    async fn to(plane: &Plane, id: &str, port: u16) -> Self {
        let connection = Self::silent(plane, "acme").await;
        connection.open(id, port).await;
        connection
    }

    async fn silent(plane: &Plane, organization: &str) -> Self {
        let (frames, received) = mpsc::channel(1);
        let endpoint = Endpoint::from_shared(format!("http://{}", plane.address)).unwrap();
        let mut client = TunnelServiceClient::new(endpoint.connect().await.unwrap());
        let mut request = Request::new(ReceiverStream::new(received));
        let organization = organization.parse().unwrap();
        request.metadata_mut().insert("organization", organization);
        let answers = client
            .connect(request)
            .await
            .expect("the head comes at once");
        let answers = answers.into_inner();
        Self { frames, answers }
    }

    async fn open(&self, id: &str, port: u16) {
        let (sandbox_id, port) = (id.to_owned(), port.into());
        self.send(Sent::Open(pb::Open { sandbox_id, port })).await;
    }

    async fn send(&self, frame: Sent) {
        let frame = Some(frame);
        self.frames
            .send(pb::ConnectRequest { frame })
            .await
            .unwrap();
    }

    async fn next(&mut self) -> Result<Option<Received>, Status> {
        let answer = time::timeout(PATIENCE, self.answers.message()).await;
        let answer = answer.expect("the stream goes on or ends")?;
        Ok(answer.map(|answer| answer.frame.expect("every frame says something")))
    }

    /// Reads to the end: the bytes, and the frames that are none.
    async fn rest(&mut self) -> (Vec<u8>, Vec<Received>) {
        let (mut bytes, mut others) = (Vec::new(), Vec::new());
        while let Some(frame) = self.next().await.unwrap() {
            if let Received::Data(data) = &frame {
                bytes.extend_from_slice(data);
            } else {
                others.push(frame);
            }
        }
        (bytes, others)
    }
}

async fn refused(connection: &mut Connection) -> (Code, String) {
    let status = connection.next().await.unwrap_err();
    (status.code(), reason(&status))
}

#[tokio::test]
async fn bytes_go_both_ways_and_each_way_has_its_end() {
    let plane = Plane::new().await;
    let id = plane.sandbox(&Job::Echo(PORT)).await;
    let mut connection = Connection::to(&plane, &id, PORT).await;
    let opened = connection.next().await.unwrap();
    assert_eq!(opened, Some(Received::Opened(pb::Opened {})));
    connection.send(Sent::Data("hello ".into())).await;
    let first = connection.next().await.unwrap();
    assert_eq!(first, Some(Received::Data("hello ".into())));
    let large = Bytes::from(vec![7; 3 * 1024 * 1024]);
    connection.send(Sent::Data(large.clone())).await;
    connection.send(Sent::End(pb::End {})).await;
    let (bytes, others) = connection.rest().await;
    assert!(bytes == large);
    let (end, closed) = (Received::End(pb::End {}), Received::Closed(pb::Closed {}));
    assert_eq!(others, [end, closed]);
}

#[tokio::test]
async fn the_end_of_the_frames_is_the_end_of_one_direction() {
    let plane = Plane::new().await;
    let id = plane.sandbox(&Job::Echo(PORT)).await;
    let mut connection = Connection::to(&plane, &id, PORT).await;
    connection.send(Sent::Data("last".into())).await;
    let (closed, _) = mpsc::channel(1);
    connection.frames = closed;
    let (bytes, others) = connection.rest().await;
    assert_eq!((bytes.as_slice(), others.len()), (b"last".as_slice(), 3));
}

#[tokio::test]
async fn a_closed_port_is_said_to_be_closed() {
    let plane = Plane::new().await;
    let id = plane.sandbox(&Job::RunUntilStopped).await;
    let mut connection = Connection::to(&plane, &id, PORT).await;
    let status = connection.next().await.unwrap_err();
    assert_eq!(
        status.message(),
        "nothing listens at port 8080 of the sandbox"
    );
    assert_eq!(reason(&status), "CWSANDBOX_PORT_CLOSED");
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().metadata["port"], "8080");
}

#[tokio::test]
async fn the_sandbox_of_somebody_else_does_not_exist() {
    let plane = Plane::new().await;
    let id = plane.sandbox(&Job::Echo(PORT)).await;
    let mut connection = Connection::silent(&plane, "other").await;
    connection.open(&id, PORT).await;
    let expected = (Code::NotFound, "CWSANDBOX_SANDBOX_NOT_FOUND".to_owned());
    assert_eq!(refused(&mut connection).await, expected);
}

#[tokio::test]
async fn frames_that_have_no_place_are_refused() {
    let plane = Plane::new().await;
    let id = plane.sandbox(&Job::Echo(PORT)).await;
    let expected = (
        Code::InvalidArgument,
        "CWSANDBOX_INVALID_REQUEST".to_owned(),
    );
    let mut connection = Connection::silent(&plane, "acme").await;
    connection.send(Sent::Data("x".into())).await;
    assert_eq!(refused(&mut connection).await, expected);
    let mut connection = Connection::to(&plane, &id, 0).await;
    assert_eq!(refused(&mut connection).await, expected);
    let mut connection = Connection::to(&plane, &id, PORT).await;
    assert!(connection.next().await.is_ok());
    connection.open(&id, PORT).await;
    assert_eq!(refused(&mut connection).await, expected);
}

#[tokio::test]
async fn tunnels_take_room_like_every_stream() {
    let plane = Plane::with_room(2).await;
    let id = plane.sandbox(&Job::Echo(PORT)).await;
    let mut held = Connection::to(&plane, &id, PORT).await;
    assert!(held.next().await.is_ok());
    let (_frames, received) = mpsc::channel(1);
    let endpoint = Endpoint::from_shared(format!("http://{}", plane.address)).unwrap();
    let mut client = TunnelServiceClient::new(endpoint.connect().await.unwrap());
    let full = client.connect(ReceiverStream::<pb::ConnectRequest>::new(received));
    assert_eq!(reason(&full.await.unwrap_err()), "CWSANDBOX_OVERLOADED");
}
