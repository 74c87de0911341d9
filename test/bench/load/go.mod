module pith-load

go 1.24
