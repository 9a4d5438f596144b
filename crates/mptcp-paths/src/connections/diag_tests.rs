//! The decoders of sock_diag's answers, on bytes as the kernel lays them out and on any bytes.

use netlink_packet_core::NLA_F_NESTED;
use proptest::prelude::*;

use super::*;

fn nest(kind: u16, nlas: &[DefaultNla]) -> DefaultNla {
    let mut value = vec![0; nlas.buffer_len()];
    nlas.emit(&mut value);
    DefaultNla::new(kind, value)
}

/// An answer about 192.0.2.1:8000 <-> 198.51.100.7:40000, with these attributes.
fn answer(nlas: &[DefaultNla]) -> Vec<u8> {
    let mut bytes = vec![0; ANSWER];
    bytes[..2].copy_from_slice(&[AF_INET, 1]);
    bytes[4..8].copy_from_slice(&[0x1f, 0x40, 0x9c, 0x40]);
    bytes[8..12].copy_from_slice(&[192, 0, 2, 1]);
    bytes[24..28].copy_from_slice(&[198, 51, 100, 7]);
    for (at, value) in [(40, 3_u32), (44, 5), (48, 6), (56, 10), (60, 20), (64, 1000), (68, 4711)] {
        bytes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }
    let mut rest = vec![0; nlas.buffer_len()];
    nlas.emit(&mut rest);
    bytes.extend(rest);
    bytes
}

fn word(kind: u16, value: u32) -> DefaultNla {
    DefaultNla::new(kind, value.to_ne_bytes().to_vec())
}

#[test]
fn a_subflow_is_read_with_what_joins_it() {
    for flag in [0, NLA_F_NESTED] {
        let subflow = nest(
            ULP_MPTCP | flag,
            &[
                word(TOKEN_REM, 7),
                word(TOKEN_LOC, 9),
                word(FLAGS, 1 << 2 | 1 << 4 | 1 << 7),
                DefaultNla::new(ID_LOC, vec![2]),
                DefaultNla::new(MAP_SEQ, 77_u64.to_ne_bytes().to_vec()),
            ],
        );
        let name = DefaultNla::new(ULP_NAME, b"mptcp\0".to_vec());
        let upper = nest(ULP_INFO | flag, &[name, subflow]);
        let bytes = answer(&[DefaultNla::new(CONG, b"bbr\0".to_vec()), upper]);
        let socket = socket(&bytes).unwrap();
        assert_eq!(socket.local, "192.0.2.1:8000".parse().unwrap());
        assert_eq!(socket.remote, "198.51.100.7:40000".parse().unwrap());
        assert_eq!((socket.bound_interface, socket.cookie), (3, 6 << 32 | 5));
        assert_eq!((socket.receive_queue, socket.send_queue, socket.uid, socket.inode), (10, 20, 1000, 4711));
        assert_eq!((socket.congestion.as_deref(), socket.upper.as_deref()), (Some("bbr"), Some("mptcp")));
        let info = socket.subflow.unwrap();
        assert_eq!((info.token_remote, info.token_local), (7, 9));
        assert_eq!((info.id_local, info.id_remote, info.map_sequence), (Some(2), None, Some(77)));
        let flags = info.flags;
        assert!(flags.join_remote && flags.backup_remote && flags.connected && !flags.capable_remote);
    }
}

#[test]
fn what_an_older_kernel_does_not_tell_is_none() {
    let socket = socket(&answer(&[DefaultNla::new(INFO, vec![1; 104])])).unwrap();
    assert_eq!((socket.subflow, socket.congestion.as_deref()), (None, None));
    let path = socket.path();
    assert!(path.rtt.is_some() && path.retransmits.is_some());
    assert_eq!((path.bytes_received, path.bytes_sent), (None, None));
    let whole = super::socket(&answer(&[DefaultNla::new(INFO, vec![1; 44])])).unwrap().mptcp_info().unwrap();
    assert_eq!((whole.subflows, whole.bytes_received), (None, None));
}

#[test]
fn the_question_names_mptcp_in_its_attribute() {
    let message = Message::Dump { family: AF_INET6, protocol: IPPROTO_MPTCP };
    let mut bytes = vec![0xff; message.buffer_len()];
    message.serialize(&mut bytes);
    assert_eq!(bytes.len(), REQUEST + 8);
    assert_eq!(bytes[..3], [AF_INET6, NO_PROTOCOL, EXTENSIONS]);
    assert_eq!(bytes[8..REQUEST], [0; REQUEST - 8]);
    let mut attribute = vec![8, 0, REQ_PROTOCOL as u8, 0];
    attribute.extend(262_u32.to_ne_bytes());
    assert_eq!(bytes[REQUEST..], attribute);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..700)) {
        crate::fuzzing::sock_diag(&bytes);
    }

    /// Random bytes rarely get past the first attribute: this spoils a true answer instead.
    #[test]
    fn no_spoilt_answer_panics(
        spoils in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        end in any::<prop::sample::Index>(),
        info in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let inner = nest(ULP_MPTCP, &[word(TOKEN_LOC, 9), word(FLAGS, u32::MAX), DefaultNla::new(ID_REM, vec![1])]);
        let mut bytes = answer(&[DefaultNla::new(INFO, info), nest(ULP_INFO, &[inner])]);
        for (index, byte) in spoils {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(end.index(bytes.len() + 1));
        crate::fuzzing::sock_diag(&bytes);
    }
}
