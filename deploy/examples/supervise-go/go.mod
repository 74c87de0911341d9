module supervise-go

go 1.26.0
