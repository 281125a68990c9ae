//! The options of sockets, written down once for every kind that has them.

/// Implements pairs of methods: one tells an option, one sets it. On the right are the names that they have
/// in `socket2`.
macro_rules! options {
    ($of:ty: $($(#[$about:meta])* $get:ident, $set:ident($type:ty) = $theirs:ident, $set_theirs:ident;)*) => {
        impl $of {
            $(
                $(#[$about])*
                ///
                /// # Errors
                ///
                /// The system's.
                pub fn $get(&self) -> std::io::Result<$type> {
                    socket2::SockRef::from(self).$theirs()
                }

                #[doc = concat!("Sets what [`", stringify!($get), "`](Self::", stringify!($get), ") tells.")]
                ///
                /// # Errors
                ///
                /// The system's.
                pub fn $set(&self, value: $type) -> std::io::Result<()> {
                    socket2::SockRef::from(self).$set_theirs(value)
                }
            )*
        }
    };
}

/// What every socket has.
macro_rules! common_options {
    ($of:ty) => {
        $crate::net::options::options! { $of:
            /// How many bytes the system keeps of what arrives until they are taken (SO_RCVBUF). It doubles
            /// what is set, for what it needs itself, and has limits of its own.
            recv_buffer_size, set_recv_buffer_size(usize) = recv_buffer_size, set_recv_buffer_size;
            /// How many bytes the system keeps of what is sent until they are gone (SO_SNDBUF). It doubles
            /// what is set, for what it needs itself, and has limits of its own.
            send_buffer_size, set_send_buffer_size(usize) = send_buffer_size, set_send_buffer_size;
        }

        impl $of {
            /// Takes the error that the system keeps for the socket, if there is one (SO_ERROR).
            ///
            /// # Errors
            ///
            /// The system's, about the question itself.
            pub fn take_error(&self) -> std::io::Result<Option<std::io::Error>> {
                socket2::SockRef::from(self).take_error()
            }
        }
    };
}

/// What a TCP connection has, and a socket that is to be one.
macro_rules! tcp_options {
    ($of:ty) => {
        $crate::net::options::common_options!($of);
        $crate::net::options::options! { $of:
            /// Whether small writes are sent at once (TCP_NODELAY, true) or wait a little for more to send
            /// with them (false, as sockets are at first).
            nodelay, set_nodelay(bool) = tcp_nodelay, set_tcp_nodelay;
            /// How long the system goes on sending after a close what is not sent yet (SO_LINGER): in the
            /// background if none (as sockets are at first), and then drops it. Zero resets the connection
            /// at once. With any other time the close *blocks* the thread that comes to it.
            linger, set_linger(Option<std::time::Duration>) = linger, set_linger;
            /// Over how many routers a packet may go (IP_TTL).
            ttl, set_ttl(u32) = ttl_v4, set_ttl_v4;
        }

        impl $of {
            /// How the system asks whether an idle peer is still there (SO_KEEPALIVE); none if it does not.
            ///
            /// # Errors
            ///
            /// The system's.
            pub fn keepalive(&self) -> std::io::Result<Option<$crate::net::Keepalive>> {
                $crate::net::Keepalive::of(&socket2::SockRef::from(self))
            }

            /// Has the system ask whether an idle peer is still there, or not any more.
            ///
            /// # Errors
            ///
            /// The system's; it counts in whole seconds, at least one.
            pub fn set_keepalive(
                &self,
                keepalive: impl Into<Option<$crate::net::Keepalive>>,
            ) -> std::io::Result<()> {
                $crate::net::Keepalive::set(keepalive.into(), &socket2::SockRef::from(self))
            }
        }
    };
}

/// What lets a program get at a socket's descriptor.
macro_rules! descriptor {
    ($of:ty, $self:ident => $fd:expr) => {
        impl std::os::fd::AsFd for $of {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                let $self = self;
                std::os::fd::AsFd::as_fd(&$fd)
            }
        }

        impl std::os::fd::AsRawFd for $of {
            fn as_raw_fd(&self) -> std::os::fd::RawFd {
                let $self = self;
                std::os::fd::AsRawFd::as_raw_fd(&$fd)
            }
        }
    };
}

/// The two addresses of a socket that may have a peer, and how it is shown.
macro_rules! ends {
    ($of:ident, $address:ty) => {
        impl $of {
            /// This side's address.
            ///
            /// # Errors
            ///
            /// The system's.
            pub fn local_addr(&self) -> std::io::Result<$address> {
                $crate::net::socket::Address::local(std::os::fd::AsFd::as_fd(self))
            }

            /// The other side's address.
            ///
            /// # Errors
            ///
            /// The system's, `NotConnected` if there is no other side, or none any more.
            pub fn peer_addr(&self) -> std::io::Result<$address> {
                $crate::net::socket::Address::peer(std::os::fd::AsFd::as_fd(self))
            }
        }

        impl std::fmt::Debug for $of {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($of))
                    .field("fd", &std::os::fd::AsRawFd::as_raw_fd(self))
                    .field("local", &self.local_addr().ok())
                    .field("peer", &self.peer_addr().ok())
                    .finish()
            }
        }
    };
}

pub(super) use {common_options, descriptor, ends, options, tcp_options};
