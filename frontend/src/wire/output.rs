//! Output: the one buffer of a connection that backend messages are encoded into.

use bytes::{BufMut, BytesMut};
use pgwire::messages::Message;
use pgwire::messages::data::ParameterDescription;
use pgwire::messages::response::NotificationResponse;
use pgwire::messages::startup::{Authentication, ParameterStatus};
use planner::{Severity, SqlError};

use super::report;

/// Bytes after which the buffer is written out before the next row.
pub const FLUSH_SIZE: usize = 64 * 1024;

/// Where a statement's output began, so that it can be taken back while nothing was written out (a server-side retry).
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    written_count: u64,
    size: usize,
}

/// Backend messages not yet written to the socket.
#[derive(Default)]
pub struct Output {
    buffer: BytesMut,
    written_count: u64,
}

impl Output {
    /// What to write.
    pub fn pending(&self) -> &[u8] {
        &self.buffer
    }

    /// Forgets what was written. Outstanding marks can no longer be taken back to.
    pub fn clear(&mut self) {
        self.buffer.clear();
        self.written_count += 1;
    }

    /// Whether the buffer should be written out.
    pub fn is_full(&self) -> bool {
        self.buffer.len() >= FLUSH_SIZE
    }

    /// The present end of the output.
    pub fn mark(&self) -> Mark {
        Mark {
            written_count: self.written_count,
            size: self.buffer.len(),
        }
    }

    /// Takes back everything after a mark; `false` if some of it was written out already.
    pub fn take_back(&mut self, mark: Mark) -> bool {
        let possible = mark.written_count == self.written_count;
        if possible {
            self.buffer.truncate(mark.size);
        }
        possible
    }

    /// Whether nothing after the mark was written out.
    pub fn can_take_back(&self, mark: Mark) -> bool {
        mark.written_count == self.written_count
    }

    /// Appends a message whose body the closure writes.
    pub fn message(&mut self, tag: u8, body: impl FnOnce(&mut BytesMut)) {
        self.buffer.put_u8(tag);
        let start = self.buffer.len();
        self.buffer.put_i32(0);
        body(&mut self.buffer);
        let size = (self.buffer.len() - start) as i32;
        self.buffer[start..start + 4].copy_from_slice(&size.to_be_bytes());
    }

    /// As [`message`](Self::message), for bodies that may fail: then nothing is appended.
    pub fn try_message<E>(&mut self, tag: u8, body: impl FnOnce(&mut BytesMut) -> Result<(), E>) -> Result<(), E> {
        let start = self.buffer.len();
        let mut result = Ok(());
        self.message(tag, |buffer| result = body(buffer));
        if result.is_err() {
            self.buffer.truncate(start);
        }
        result
    }

    /// A single byte without framing (answers to SSLRequest and GSSENCRequest).
    pub fn byte(&mut self, byte: u8) {
        self.buffer.put_u8(byte);
    }

    /// ReadyForQuery.
    pub fn ready(&mut self, status: u8) {
        self.message(b'Z', |buffer| buffer.put_u8(status));
    }

    /// CommandComplete.
    pub fn complete(&mut self, tag: &str) {
        self.message(b'C', |buffer| put_text(buffer, tag));
    }

    /// CommandComplete of a verb that counts: `SELECT 3`, `INSERT 0 5`.
    pub fn complete_count(&mut self, verb: &str, count: u64) {
        let mut digits = [0_u8; 20];
        let digits = decimal(count, &mut digits);
        self.message(b'C', |buffer| {
            buffer.put_slice(verb.as_bytes());
            buffer.put_u8(b' ');
            buffer.put_slice(digits);
            buffer.put_u8(0);
        });
    }

    /// EmptyQueryResponse.
    pub fn empty_query(&mut self) {
        self.message(b'I', |_| ());
    }

    /// ParseComplete.
    pub fn parse_complete(&mut self) {
        self.message(b'1', |_| ());
    }

    /// BindComplete.
    pub fn bind_complete(&mut self) {
        self.message(b'2', |_| ());
    }

    /// CloseComplete.
    pub fn close_complete(&mut self) {
        self.message(b'3', |_| ());
    }

    /// NoData.
    pub fn no_data(&mut self) {
        self.message(b'n', |_| ());
    }

    /// PortalSuspended.
    pub fn portal_suspended(&mut self) {
        self.message(b's', |_| ());
    }

    /// ParameterDescription.
    pub fn parameter_description(&mut self, types: Vec<u32>) {
        self.encode(&ParameterDescription::new(types));
    }

    /// Authentication request or success.
    pub fn authentication(&mut self, message: Authentication) {
        self.encode(&message);
    }

    /// ParameterStatus.
    pub fn parameter_status(&mut self, name: &str, value: &str) {
        self.encode(&ParameterStatus::new(name.to_owned(), value.to_owned()));
    }

    /// BackendKeyData with the four-byte secret of protocol 3.0.
    pub fn backend_key(&mut self, session: u32, secret: &[u8]) {
        self.message(b'K', |buffer| {
            buffer.put_u32(session);
            buffer.put_slice(secret);
        });
    }

    /// NegotiateProtocolVersion: 3.0 is spoken, and these options are not known.
    pub fn negotiate_version(&mut self, unknown_options: &[&str]) {
        self.message(b'v', |buffer| {
            buffer.put_u32(3 << 16);
            buffer.put_u32(unknown_options.len() as u32);
            unknown_options.iter().for_each(|name| put_text(buffer, name));
        });
    }

    /// NotificationResponse.
    pub fn notification(&mut self, session: u32, channel: &str, payload: &str) {
        self.encode(&NotificationResponse::new(
            session as i32,
            channel.to_owned(),
            payload.to_owned(),
        ));
    }

    /// ErrorResponse or NoticeResponse.
    pub fn report(&mut self, report: &SqlError, severity: Severity) {
        report::encode(report, severity, &mut self.buffer);
    }

    /// CopyInResponse (`G`) or CopyOutResponse (`H`), the same format for every column.
    pub fn copy_response(&mut self, tag: u8, binary: bool, column_count: usize) {
        self.message(tag, |buffer| {
            buffer.put_u8(u8::from(binary));
            buffer.put_u16(column_count as u16);
            (0..column_count).for_each(|_| buffer.put_i16(i16::from(binary)));
        });
    }

    /// CopyDone.
    pub fn copy_done(&mut self) {
        self.message(b'c', |_| ());
    }

    fn encode(&mut self, message: &impl Message) {
        let result = message.encode(&mut self.buffer);
        debug_assert!(result.is_ok(), "backend messages of bounded size");
    }
}

/// Appends a string and its zero byte.
pub fn put_text(buffer: &mut BytesMut, text: &str) {
    buffer.put_slice(text.as_bytes());
    buffer.put_u8(0);
}

/// Decimal digits of a number in a buffer on the stack.
fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &digits[start..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_taken_back_unless_written() {
        let mut output = Output::default();
        output.ready(b'I');
        let mark = output.mark();
        output.complete_count("SELECT", 1234567890123);
        assert_eq!(&output.pending()[6..], b"C\0\0\0\x19SELECT 1234567890123\0");
        assert!(output.take_back(mark));
        assert_eq!(output.pending(), b"Z\0\0\0\x05I");
        output.clear();
        assert!(!output.take_back(mark));
    }

    #[test]
    fn a_failed_message_leaves_nothing() {
        let mut output = Output::default();
        let result = output.try_message(b'D', |buffer| {
            buffer.put_u8(1);
            Err("bad value")
        });
        assert_eq!((result, output.pending().len()), (Err("bad value"), 0));
    }
}
