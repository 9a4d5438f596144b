//! What fuzzing feeds here: each function takes any bytes, has them read, and panics where a promise is broken. The fuzz
//! targets call these, and the tests beside what is read.

use crate::{Protocol, decode};

/// The kernel's structures, of any length. The first three bytes say where an answer is cut and how large its records are.
pub fn kernel_structures(bytes: &[u8]) {
    let _ = decode::mptcp_info(bytes);
    let _ = decode::tcp_info(bytes);
    let _ = decode::subflow_addrs(bytes);
    let Some((&[cut, stride, count], rest)) = bytes.split_first_chunk() else { return };
    let (cut, stride, count) = (usize::from(cut), usize::from(stride), usize::from(count));
    for length in [cut, rest.len(), usize::MAX] {
        let records = decode::subflow_data(rest, length);
        let taken: usize = records.iter().map(|record| record.len()).sum();
        assert!(taken <= rest.len().min(length), "{taken} bytes of records in {} bytes", rest.len());
    }
    let (infos, tcps) = rest.split_at(cut.min(rest.len()));
    for (info_stride, tcp_stride) in [(stride, stride), (decode::SUBFLOW_INFO_SIZE, decode::TCP_INFO_SIZE)] {
        let paths = decode::full_info(infos, info_stride, tcps, tcp_stride, count);
        assert!(paths.len() <= count, "{} paths where {count} were told of", paths.len());
    }
}

/// The words that choose a protocol.
pub fn protocol_words(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(protocol) = text.parse::<Protocol>() {
        assert!(text.replace('_', "-").eq_ignore_ascii_case(protocol.as_str()), "{text:?} is {protocol}");
        assert_eq!(protocol.to_string().parse::<Protocol>().ok(), Some(protocol));
    }
}
