module chat-http-go

go 1.26.0
