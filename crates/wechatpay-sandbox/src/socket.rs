//! Answers that break on the socket: the same bytes, pauses and ends over TCP and over TLS.

use bytes::Bytes;
use http::Response;
use http::header::HeaderName;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

/// How an answer breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Break {
    /// Not a byte, and the connection ends in order.
    Close,
    /// Not a byte, and the connection is reset.
    Reset,
    /// Half of it, then a reset.
    ResetMid,
    /// Half of it, and the connection ends in order.
    Truncate,
    /// A good chunk, then something that is none.
    BrokenChunk,
    /// All of it, with a pause after each line of the head.
    SlowHeaders,
    /// All of it, with pauses between the pieces of the body.
    SlowBody,
    /// Half of it, then a pause, and the connection ends in order.
    Stall,
}

/// An answer, and how it breaks.
#[derive(Debug, Clone)]
pub(crate) struct Broken {
    pub(crate) answer: Response<Bytes>,
    pub(crate) how: Break,
    pub(crate) pause: Duration,
}

/// In how many pieces a slow body comes.
const PIECES: usize = 8;

/// A connection that can be reset.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// The connection below all encryption.
    fn tcp(&self) -> &TcpStream;
}

impl Wire for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Wire for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// Something that is done to a connection.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Send(Vec<u8>),
    Pause,
    /// TCP's FIN, after TLS's close notification.
    Finish,
    /// TCP's RST, whatever is still on the way.
    Reset,
}

impl Broken {
    /// Sends what is to be sent, and ends the connection. A client that goes away ends it too.
    pub(crate) async fn send(self, mut wire: impl Wire) -> io::Result<()> {
        for step in self.steps() {
            match step {
                Step::Send(bytes) => {
                    wire.write_all(&bytes).await?;
                    wire.flush().await?;
                }
                Step::Pause if timeout(self.pause, gone(&mut wire)).await.is_ok() => return Ok(()),
                Step::Pause => {}
                Step::Finish => wire.shutdown().await?,
                Step::Reset => wire.tcp().set_zero_linger()?,
            }
        }
        Ok(())
    }

    fn steps(&self) -> Vec<Step> {
        use Step::{Finish, Pause, Reset, Send};
        let body = &self.answer.body()[..];
        let head = self.head(&format!("Content-Length: {}", body.len()));
        let half = || {
            let all = [head.as_bytes(), body].concat();
            let end = if body.is_empty() { head.len() / 2 } else { head.len() + body.len() / 2 };
            Send(all.get(..end).unwrap_or_default().to_vec())
        };
        match self.how {
            Break::Close => vec![Finish],
            Break::Reset => vec![Reset],
            Break::ResetMid => vec![half(), Reset],
            Break::Truncate => vec![half(), Finish],
            Break::Stall => vec![half(), Pause, Finish],
            Break::BrokenChunk => {
                let mut bytes = self.head("Transfer-Encoding: chunked").into_bytes();
                let piece = body.get(..body.len() / 2).unwrap_or_default();
                if !piece.is_empty() {
                    bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                    bytes.extend_from_slice(piece);
                    bytes.extend_from_slice(b"\r\n");
                }
                bytes.extend_from_slice(b"this is no chunk\r\n");
                vec![Send(bytes), Finish]
            }
            Break::SlowHeaders => {
                let lines = head.split_inclusive("\r\n").flat_map(|line| [Send(line.as_bytes().to_vec()), Pause]);
                lines.chain([Send(body.to_vec()), Finish]).collect()
            }
            Break::SlowBody => {
                let pieces = body.chunks(body.len().div_ceil(PIECES).max(1));
                let pieces = pieces.flat_map(|piece| [Pause, Send(piece.to_vec())]);
                [Send(head.clone().into_bytes())].into_iter().chain(pieces).chain([Finish]).collect()
            }
        }
    }

    /// The head, with a line that says how long the body is to be.
    fn head(&self, length: &str) -> String {
        let status = match self.answer.status() {
            // The only success without a body, which would not be read.
            status if self.how == Break::BrokenChunk && status == 204 => http::StatusCode::OK,
            status => status,
        };
        let mut head = format!("HTTP/1.1 {} {}\r\n", status.as_str(), status.canonical_reason().unwrap_or_default());
        for (name, value) in self.answer.headers() {
            head += &format!("{}: {}\r\n", title_case(name), value.to_str().unwrap_or_default());
        }
        head += "Connection: close\r\n";
        if status != 204 {
            head = head + length + "\r\n";
        }
        head + "\r\n"
    }
}

/// The name as the other answers write it.
fn title_case(name: &HeaderName) -> String {
    let mut begins = true;
    let letter = |letter: char| {
        let letter = if begins { letter.to_ascii_uppercase() } else { letter };
        begins = letter == '-';
        letter
    };
    name.as_str().chars().map(letter).collect()
}

/// Waits until the other side has closed the connection.
async fn gone(wire: &mut impl Wire) {
    let mut ignored = [0; 512];
    while !matches!(wire.read(&mut ignored).await, Ok(0) | Err(_)) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(status: u16, body: &'static str, how: Break) -> Broken {
        let answer = Response::builder().status(status).header("request-id", "1").body(Bytes::from(body));
        Broken { answer: answer.unwrap(), how, pause: Duration::ZERO }
    }

    /// The bytes of all steps, and the last step.
    fn sent(broken: &Broken) -> (String, Step) {
        let mut steps = broken.steps();
        let end = steps.pop().unwrap();
        let bytes = steps.into_iter().flat_map(|step| if let Step::Send(bytes) = step { bytes } else { Vec::new() });
        (String::from_utf8(bytes.collect()).unwrap(), end)
    }

    #[test]
    fn each_break_sends_so_much_and_ends_so() {
        let head = |length: &str| format!("HTTP/1.1 200 OK\r\nRequest-Id: 1\r\nConnection: close\r\n{length}\r\n\r\n");
        let sized = head("Content-Length: 10");
        let chunked = head("Transfer-Encoding: chunked");
        for (how, bytes, end) in [
            (Break::Close, String::new(), Step::Finish),
            (Break::Reset, String::new(), Step::Reset),
            (Break::ResetMid, format!("{sized}01234"), Step::Reset),
            (Break::Truncate, format!("{sized}01234"), Step::Finish),
            (Break::Stall, format!("{sized}01234"), Step::Finish),
            (Break::BrokenChunk, format!("{chunked}5\r\n01234\r\nthis is no chunk\r\n"), Step::Finish),
            (Break::SlowHeaders, format!("{sized}0123456789"), Step::Finish),
            (Break::SlowBody, format!("{sized}0123456789"), Step::Finish),
        ] {
            assert_eq!(sent(&broken(200, "0123456789", how)), (bytes, end), "{how:?}");
        }
    }

    #[test]
    fn pauses_stand_where_they_are_promised() {
        let pauses = |how| {
            let steps = broken(200, "0123456789", how).steps();
            steps.iter().filter(|step| **step == Step::Pause).count()
        };
        // Five lines of the head with the empty one, and pieces of two bytes.
        assert_eq!((pauses(Break::SlowHeaders), pauses(Break::SlowBody), pauses(Break::Stall)), (5, 5, 1));
    }

    #[tokio::test]
    async fn a_client_that_goes_away_ends_a_stall() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let stall = Broken { pause: Duration::from_secs(1 << 40), ..broken(200, "0123456789", Break::Stall) };
        let sending = tokio::spawn(stall.send(server));
        client.read_exact(&mut [0; 20]).await.unwrap();
        drop(client);
        sending.await.unwrap().unwrap();
    }

    #[test]
    fn an_answer_without_a_body_breaks_in_its_head() {
        for how in [Break::ResetMid, Break::Truncate, Break::Stall] {
            let (bytes, _) = sent(&broken(204, "", how));
            assert!(bytes.starts_with("HTTP/1.1 204") && !bytes.contains("\r\n\r\n"), "{how:?}: {bytes}");
        }
        let (bytes, _) = sent(&broken(204, "", Break::BrokenChunk));
        assert!(bytes.starts_with("HTTP/1.1 200") && bytes.ends_with("\r\n\r\nthis is no chunk\r\n"), "{bytes}");
    }
}
