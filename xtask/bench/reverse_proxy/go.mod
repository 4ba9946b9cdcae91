module dayfly/bench/reverse_proxy

go 1.21
