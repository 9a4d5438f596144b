module mphttp-peer

go 1.24
