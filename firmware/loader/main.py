import faretap_loader

faretap_loader.main()
