module chat-ipc-go

go 1.26.0
