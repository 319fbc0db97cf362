//! A client that speaks the protocol byte by byte, and a node to speak to.
#![allow(
    dead_code,
    missing_docs,
    clippy::unwrap_used,
    reason = "every test file uses a part of it"
)]

use std::net::SocketAddr;

use clap::Parser;
use frontend::server::options::{Command, Options};
use frontend::server::run::Running;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A node on free ports with a data directory of its own.
pub struct Node {
    pub running: Running,
    _directory: tempfile::TempDir,
}

impl Node {
    pub async fn start() -> Node {
        Self::start_with(&[]).await
    }

    pub async fn start_with(more: &[&str]) -> Node {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data").display().to_string();
        let mut arguments = vec![
            "cambium",
            "start",
            "--data",
            &data,
            "--sql",
            "127.0.0.1:0",
            "--http",
            "127.0.0.1:0",
            "--shards",
            "2",
        ];
        arguments.extend(more);
        let Options {
            command: Command::Start(start),
        } = Options::parse_from(arguments)
        else {
            panic!("the arguments are those of `start`");
        };
        Node {
            running: Running::start(&start).await.unwrap(),
            _directory: directory,
        }
    }

    pub async fn connect(&self) -> Client {
        let mut client = Client::open(self.running.sql).await;
        client
            .startup(3 << 16, &[("user", "cambium"), ("database", "cambium")])
            .await;
        client.until(b'Z').await;
        client
    }
}

/// A backend message.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub tag: char,
    pub body: Vec<u8>,
}

impl Message {
    /// A field of an error or notice.
    pub fn field(&self, tag: u8) -> Option<String> {
        let mut rest = &self.body[..];
        while let Some((&found, after)) = rest.split_first() {
            let end = after.iter().position(|byte| *byte == 0)?;
            if found == tag {
                return Some(String::from_utf8_lossy(&after[..end]).into_owned());
            }
            rest = &after[end + 1..];
        }
        None
    }

    /// Its text: a tag, a status, the columns of a row separated by `|`, the code of an error.
    pub fn text(&self) -> String {
        let plain = || String::from_utf8_lossy(self.body.strip_suffix(&[0]).unwrap_or(&self.body)).into_owned();
        match self.tag {
            'E' | 'N' => self.field(b'C').unwrap_or_default(),
            'D' => row(&self.body),
            'C' | 'Z' => plain(),
            _ => String::new(),
        }
    }
}

fn row(body: &[u8]) -> String {
    let mut rest = &body[2..];
    let mut values = Vec::new();
    while rest.len() >= 4 {
        let size = i32::from_be_bytes(rest[..4].try_into().unwrap());
        rest = &rest[4..];
        if size < 0 {
            values.push("null".to_owned());
        } else {
            values.push(String::from_utf8_lossy(&rest[..size as usize]).into_owned());
            rest = &rest[size as usize..];
        }
    }
    values.join("|")
}

/// What a client and a server say to each other.
pub struct Client {
    pub stream: TcpStream,
    pub key: Vec<u8>,
}

impl Client {
    pub async fn open(address: SocketAddr) -> Client {
        Client {
            stream: TcpStream::connect(address).await.unwrap(),
            key: Vec::new(),
        }
    }

    pub async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    pub async fn startup(&mut self, version: u32, parameters: &[(&str, &str)]) {
        let mut body = version.to_be_bytes().to_vec();
        for (name, value) in parameters {
            body.extend_from_slice(format!("{name}\0{value}\0").as_bytes());
        }
        body.push(0);
        let packet = [&(body.len() as u32 + 4).to_be_bytes()[..], &body].concat();
        self.write(&packet).await;
    }

    pub async fn send(&mut self, tag: u8, body: &[u8]) {
        self.write(&frame(tag, body)).await;
    }

    /// The next message; `None` when the server has closed.
    pub async fn read(&mut self) -> Option<Message> {
        let tag = self.stream.read_u8().await.ok()? as char;
        let size = self.stream.read_i32().await.ok()? - 4;
        let mut body = vec![0; size as usize];
        self.stream.read_exact(&mut body).await.ok()?;
        if tag == 'K' {
            self.key = body.clone();
        }
        Some(Message { tag, body })
    }

    /// All messages up to and with one of a tag.
    pub async fn until(&mut self, tag: u8) -> Vec<Message> {
        let mut messages = Vec::new();
        while let Some(message) = self.read().await {
            let is_last = message.tag == tag as char;
            messages.push(message);
            if is_last {
                return messages;
            }
        }
        panic!("closed after {messages:?}");
    }

    /// A simple query's answer, as `tag text` lines without descriptions.
    pub async fn query(&mut self, text: &str) -> Vec<String> {
        self.send(b'Q', format!("{text}\0").as_bytes()).await;
        self.answer().await
    }

    /// The answer up to ReadyForQuery, as `tag text` lines without row descriptions.
    pub async fn answer(&mut self) -> Vec<String> {
        lines(&self.until(b'Z').await)
    }
}

/// A frontend message.
pub fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
    [&[tag][..], &(body.len() as u32 + 4).to_be_bytes(), body].concat()
}

/// Messages as `tag text` lines, without row descriptions and settings.
pub fn lines(messages: &[Message]) -> Vec<String> {
    let told = messages.iter().filter(|message| !matches!(message.tag, 'T' | 'S'));
    told.map(|message| format!("{} {}", message.tag, message.text()).trim_end().to_owned())
        .collect()
}

/// Parse, Bind and Execute of one statement without parameters, all unnamed.
pub fn extended(text: &str) -> Vec<u8> {
    [
        frame(b'P', format!("\0{text}\0\0\0").as_bytes()),
        frame(b'B', b"\0\0\0\0\0\0\0\0"),
        frame(b'E', b"\0\0\0\0\0"),
    ]
    .concat()
}
