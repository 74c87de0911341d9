module mahjong-login-go

go 1.26.0
